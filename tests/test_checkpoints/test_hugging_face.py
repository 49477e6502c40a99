"""Folders of transformers' models: what is read of them, what is refused, and by whom else."""

import json

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from safetensors.torch import load_file, save_file

from tests.clip_models import VISION, make_hugging_face
from tests.clip_models import make_model as make_own
from tests.hugging_face_models import make_folder
from tvtsv2_mm.checkpoints import CheckpointError, read_weights
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint
from tvtsv2_mm.checkpoints.hugging_face import (
    MODEL_TYPES,
    context_of,
    model_folder,
    read_config,
    read_pixels,
)
from tvtsv2_mm.registry import MODELS


def build(folder, neck=True, backbone='HuggingFaceBackbone', **more):
    parts = dict(neck=dict(type='HuggingFaceTextEncoder', folder=str(folder))) if neck else {}
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        return MODELS.build(dict(
            type='VideoTextModel', backbone=dict(type=backbone, folder=str(folder)), **parts,
            data_preprocessor=dict(type='VideoTextDataPreprocessor')) | more).eval()


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """A CLIP and an X-CLIP as they come from the hub; not to be changed."""
    root = tmp_path_factory.mktemp('folders')
    for kind in ('clip', 'xclip'):
        make_folder(root / kind, kind)
    return root


@pytest.fixture
def change(folders, tmp_path):
    """A copy of the CLIP's folder in which a JSON file is changed by a function."""
    def changed(name, function):
        for path in (folders / 'clip').iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        content = json.loads((tmp_path / name).read_text())
        made = function(content)
        (tmp_path / name).write_text(json.dumps(content if made is None else made))
        return tmp_path

    return changed


@pytest.mark.parametrize(('function', 'message'), [
    (lambda c: c.update(model_type='bert'), r"model_type='bert' is not run here; known are aimv2"),
    (lambda c: c.update(model_type=None), r'model_type=.None. is not run here'),
    (lambda c: c.update(model_type='vision-text-dual-encoder'), 'is not run here'),
    (lambda c: c.update(auto_map=dict(AutoModel='x.Y')), 'auto_map is not implemented'),
    (lambda c: c['text_config'].update(auto_map=dict(AutoModel='x.Y')), 'auto_map is not'),
    (lambda c: c.update(quantization_config=dict(quant_method='x')), 'quantization_config is not'),
    (lambda c: c['vision_config'].update(num_hidden_layers=10**6), 'no number that a model can'),
    (lambda c: c['vision_config'].update(depths=[1, 10**6]), 'no number that a model can'),
    (lambda c: c['vision_config'].update(depth_coefficient=1e300), 'no number that a model can'),
    (lambda c: c.update(x=float('nan')), 'x=nan is no number that a model can'),
    (lambda c: c.update(x='y' * 11_000_000), 'has more than 10485760 bytes'),
    (lambda c: c['text_config'].update(vocab_size=10**12), 'vocab_size=1000000000000 is no number'),
    (lambda c: c['vision_config'].update(hidden_act='os.system'),
     "vision_config.hidden_act='os.system' is not implemented; known are .*quick_gelu"),
    (lambda c: c['text_config'].update(hidden_act='swishy'), "text_config.hidden_act='swishy' is"),
    (lambda c: c['vision_config'].update(num_channels=1), 'num_channels=1 is not .* have 3, RGB'),
    (lambda c: c['vision_config'].update(vision_use_head=False), 'use_head=False leaves the embed'),
    (lambda c: c.update(vision_config=7), 'is no config of the model'),
    (lambda c: [c], 'holds no names and values')])
def test_configs_that_are_refused(change, function, message):
    folder = change('config.json', function)
    with pytest.raises(CheckpointError, match=rf'config\.json.*{message}'):
        read_config(folder)


@pytest.mark.parametrize(('function', 'message'), [
    (lambda c: c['vision_config'].update(hidden_size=8192, num_attention_heads=64,
                                         intermediate_size=16384), 'describes .* numbers, but'),
    (lambda c: c['vision_config'].update(num_attention_heads=3), '(makes no|is no config of the)')])
def test_models_that_are_not_built(change, function, message):
    """Before memory is taken: the weights in the folder are about as many as it describes."""
    folder = change('config.json', function)
    with pytest.raises(CheckpointError, match=rf'config\.json.*{message}'):
        build(folder)


def test_frames_of_another_size_are_refused_at_once(change):
    folder = change('preprocessor_config.json', lambda c: c.update(
        size=dict(shortest_edge=48), crop_size=dict(height=48, width=48)))
    with pytest.raises(ValueError, match='reads frames of 32 pixels, not of 48: write that into'):
        build(folder)


def test_embeddings_of_two_widths_are_refused(tmp_path):
    make_folder(tmp_path, 'siglip')
    config = json.loads((tmp_path / 'config.json').read_text())
    config['text_config']['projection_size'] = 48
    (tmp_path / 'config.json').write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r'projection_size=48, but videos have .* of 32'):
        read_config(tmp_path)


def test_what_decides_no_number_is_not_read(change, folders):
    """A config may name code of attention to be fetched, and classes in any number."""
    def add(config):
        for part in (config, config['text_config'], config['vision_config']):
            part.update(_attn_implementation='somebody/kernels', num_labels=10**9,
                        _attn_implementation_internal='somebody/kernels', dtype='float16')

    folder = change('config.json', add)
    config, name = read_config(folder)
    assert name == read_config(folders / 'clip')[1]
    assert 'kernels' not in str(config.to_dict()) + str(config._attn_implementation)
    model = build(folder)
    assert model.backbone.hf.config._attn_implementation in ('sdpa', 'eager')
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_all_types_are_of_the_library_or_told(monkeypatch, change):
    folder = change('config.json', lambda c: c.update(model_type='videoprism'))
    monkeypatch.setattr('tvtsv2_mm.checkpoints.hugging_face.CONFIG_MAPPING', {})
    with pytest.raises(CheckpointError, match='the installed transformers does not have it'):
        read_config(folder)
    assert [*MODEL_TYPES] == sorted(MODEL_TYPES)


@pytest.mark.parametrize(('changes', 'expected'), [
    (dict(), (32, 32, 'bicubic', True)),
    (dict(size=dict(shortest_edge=36)), (32, 36, 'bicubic', True)),
    (dict(size=36, crop_size=32, resample=2), (32, 36, 'bilinear', True)),
    (dict(size=dict(height=32, width=32), do_center_crop=False), (32, 32, 'bicubic', False)),
    (dict(size=dict(height=32, width=32), image_processor_type='SiglipImageProcessor',
          do_center_crop=...), (32, 32, 'bicubic', False)),
    (dict(image_processor_type=..., feature_extractor_type='CLIPFeatureExtractor'),
     (32, 32, 'bicubic', True)),
    (dict(image_processor_type='BitImageProcessorFast', device=None, do_pad=False,
          data_format='channels_first'), (32, 32, 'bicubic', True)),
    (dict(image_processor_type='ViTImageProcessor', size=32, crop_size=..., do_center_crop=...),
     (32, 32, 'bicubic', False))])
def test_pixels(change, changes, expected):
    folder = change('preprocessor_config.json', lambda c: {
        key: value for key, value in (c | changes).items() if value is not ...})
    found = read_pixels(folder, read_config(folder)[0])
    assert (found.image_size, found.short_side, found.interpolation, found.keep_ratio) == expected
    assert found.mean == (127.5, 114.75, 102.0) and found.std == (127.5, 140.25, 153.0)
    # transformers 5 has them within those of the whole processor.
    (folder / 'processor_config.json').write_text(json.dumps(dict(image_processor=json.loads(
        (folder / 'preprocessor_config.json').read_text()))))
    (folder / 'preprocessor_config.json').unlink()
    assert read_pixels(folder, read_config(folder)[0]) == found


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(resample=1), 'resample=1 is not implemented'),
    (dict(resample=None), 'leaves resample to the library'),
    (dict(image_mean=None), 'leaves image_mean to the library'),
    (dict(do_center_crop=None), 'leaves do_center_crop to the library'),
    (dict(do_center_crop=False), 'all frames must get one size'),
    (dict(do_resize=False), 'all frames must get one size'),
    (dict(size=dict(height=32, width=40)), 'no square'),
    (dict(crop_size=dict(height=64, width=64)), 'crop_size=.* is not implemented'),
    (dict(size=dict(shortest_edge=10**6)), 'pixels are none'),
    (dict(size=dict(longest_edge=32)), r'size=.*longest_edge.* must have height and width, or sho'),
    (dict(crop_size=[32, 32]), r'crop_size=\[32, 32\] is not .*: it must have height and width'),
    (dict(image_std=[0.5, 0, 0.5]), 'image_std=.* must be one number, or three, above 0'),
    (dict(image_mean='abc'), 'image_mean=abc must be one number, or three'),
    (dict(rescale_factor=0), 'rescale_factor=0 is no factor'),
    (dict(do_rescale=False), 'do_rescale=False and .* "rescale_factor": 0.0039'),
    (dict(image_processor_type='ConvNextImageProcessor', crop_pct=0.9),
     "image_processor_type='ConvNextImageProcessor' is not implemented; known are .*CLIPImage"),
    (dict(image_processor_type='LevitImageProcessor'), "type='LevitImageProcessor' is not"),
    (dict(image_processor_type='EvilImageProcessor'), "type='EvilImageProcessor' is not"),
    (dict(image_processor_type=None, feature_extractor_type='Evil'),
     "feature_extractor_type='Evil' is not implemented"),
    (dict(crop_pct=0.5), 'crop_pct=0.5 is not implemented for a CLIPImageProcessor; read are'),
    (dict(rescale_offset=True), 'rescale_offset=True is not implemented'),
    (dict(image_processor_type='ViTImageProcessor', size=36, crop_size=32), 'crop_size=32 of'),
    (dict(do_pad=True, pad_size=dict(height=48, width=48)), 'do_pad=True is not implemented'),
    (dict(do_flip_channel_order=True), 'do_flip_channel_order=True is not implemented'),
    (dict(auto_map=dict(AutoImageProcessor='evil.Processor')), 'auto_map=.* is not run')])
def test_pixels_that_are_refused(change, changes, message):
    folder = change('preprocessor_config.json', lambda c: c.update(changes))
    with pytest.raises(CheckpointError, match=rf'preprocessor_config\.json.*{message}'):
        read_pixels(folder, read_config(folder)[0])


def test_one_number_is_of_all_channels(change):
    folder = change('preprocessor_config.json', lambda c: c.update(image_mean=0.5, image_std=0.25))
    found = read_pixels(folder, read_config(folder)[0])
    assert found.mean == (127.5, ) * 3 and found.std == (63.75, ) * 3


@pytest.mark.parametrize('values', [
    dict(tokenizer_class='evil.Tokenizer'), dict(auto_map=dict(AutoTokenizer='evil.Tokenizer'))])
def test_tokenizers_that_are_code_are_refused(change, values):
    folder = change('tokenizer_config.json', lambda c: c.update(values))
    with pytest.raises(CheckpointError, match=r'tokenizer_config\.json: .* is not implemented'):
        build(folder)


def test_a_folder_without_a_processor(change):
    folder = change('config.json', lambda c: None)
    (folder / 'preprocessor_config.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'no preprocessor_config\.json in .*copy it'):
        build(folder)


def test_the_longest_text_is_that_of_positions_and_tokenizer(change):
    for told, length in ((8, 8), (10**30, 16), (None, 16)):
        folder = change('tokenizer_config.json', lambda c, told=told: c.update(
            model_max_length=told))
        assert context_of(folder, read_config(folder)[0]) == length


@torch.no_grad()
@pytest.mark.parametrize('place', ['0_CLIPModel', ''])
def test_a_folder_that_sentence_transformers_wrote(folders, tmp_path, place):
    """Of its CLIPModel, in a folder of its own, and of its Transformer."""
    (tmp_path / place).mkdir(exist_ok=True)
    for path in (folders / 'clip').iterdir():
        (tmp_path / place / path.name).write_bytes(path.read_bytes())
    kind = 'CLIPModel' if place else 'base.modules.transformer.Transformer'
    modules = [dict(idx=0, name='0', path=place, type=f'sentence_transformers.models.{kind}'),
               dict(idx=1, name='1', path='1_N', type='sentence_transformers.models.Normalize')]
    (tmp_path / 'modules.json').write_text(json.dumps(modules))
    assert model_folder(tmp_path) == tmp_path / place
    model, expected = build(tmp_path), build(folders / 'clip')
    load_checkpoint(model, str(tmp_path))
    load_checkpoint(expected, str(folders / 'clip'))
    torch.testing.assert_close(dict(model.state_dict()), dict(expected.state_dict()))


@pytest.mark.parametrize(('modules', 'message'), [
    ([dict(idx=0, type='x.Transformer', path=''), dict(idx=1, type='x.Dense', path='1_Dense')],
     'its modules are Transformer, Dense'),
    ([dict(idx=0, type='x.WordEmbeddings', path='')], 'its modules are WordEmbeddings'),
    ([dict(idx=0, type='x.CLIPModel', path='../elsewhere')], 'names a folder elsewhere'),
    ([dict(idx=0, type='x.CLIPModel', path='/etc')], 'names a folder elsewhere'),
    ([dict(idx=0, type='x.CLIPModel', path='..')], 'names a folder elsewhere'),
    ([], 'is no list of modules'), (7, 'is no list of modules')])
def test_modules_of_sentence_transformers_that_are_refused(tmp_path, modules, message):
    (tmp_path / 'modules.json').write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match=rf'modules\.json.*{message}'):
        model_folder(tmp_path)


def test_folders_of_something_else(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no config\.json in .*as it comes from the hub'):
        model_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match='there is no folder'):
        model_folder(tmp_path / 'no')
    with pytest.raises(ValueError, match=r'backbone\.folder is missing'), \
            DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        MODELS.build(dict(type='HuggingFaceBackbone'))


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda w: w.pop('visual_projection.weight'),
     r'missing in the checkpoint:\n  backbone\.hf\.visual_projection\.weight'),
    (lambda w: w.update(extra=torch.zeros(3)), r'not used by the model:\n  extra'),
    (lambda w: w.update({'text_extra': torch.zeros(3)}), r'not used by the model:\n  text_extra'),
    (lambda w: w.update({'visual_projection.weight': torch.zeros(3, 3)}), 'sizes differ'),
    (lambda w: w.update({'visual_projection.weight': torch.full((24, 32), torch.nan)}),
     'not finite')])
def test_weights_that_do_not_fit(change, spoil, message):
    folder = change('config.json', lambda c: None)
    weights = load_file(folder / 'model.safetensors')
    spoil(weights)
    save_file(weights, folder / 'model.safetensors')
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(build(folder), str(folder))


def test_a_side_alone_tells_the_other_as_unneeded(folders):
    model = build(folders / 'clip', neck=False)
    load_checkpoint(model, str(folders / 'clip'))
    unneeded = model.load_report['unneeded']
    assert 'logit_scale' in unneeded and all(
        key.startswith('text_') for key in unneeded if key != 'logit_scale')


def test_weights_of_another_model_of_the_same_sizes_are_refused(folders, change):
    """No tensor tells the activation, nor how many heads."""
    folder = change('config.json', lambda c: c['vision_config'].update(hidden_act='relu'))
    with pytest.raises(CheckpointError, match=r'library_config: .clip_\w{12}. by .*config\.json, '
                       r'.clip_\w{12}. by the model config'):
        load_checkpoint(build(folders / 'clip'), str(folder))


def test_what_we_write_goes_on_in_the_same_model_alone(folders, change, tmp_path):
    model = build(folders / 'clip')
    load_checkpoint(model, str(folders / 'clip'))
    torch.save(dict(state_dict={f'module.{key}': value for key, value in
                                model.state_dict().items()}), tmp_path / 'wrapped.pth')
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'own.pth')
    for name in ('wrapped', 'own'):
        other = build(folders / 'clip')
        load_checkpoint(other, str(tmp_path / f'{name}.pth'))
        torch.testing.assert_close(dict(other.state_dict()), dict(model.state_dict()))
        assert other.load_report['layout'] == 'tvtsv2_mm'
    folder = change('config.json', lambda c: c['vision_config'].update(hidden_act='relu'))
    with pytest.raises(CheckpointError, match='library_config'):
        load_checkpoint(build(folder), str(tmp_path / 'own.pth'))


def test_names_that_the_library_changes_between_file_and_model(tmp_path):
    """As AltCLIP's blocks, in one version or the other, and the norms of old files."""
    make_folder(tmp_path, 'altclip')
    expected, model = build(tmp_path), build(tmp_path)
    load_checkpoint(expected, str(tmp_path))
    weights = load_file(tmp_path / 'model.safetensors')
    old = 'text_model.roberta.encoder.layer.0.output.LayerNorm.'
    assert f'{old}weight' in weights
    for other, name in (('gamma', 'weight'), ('beta', 'bias')):
        weights[old + other] = weights.pop(old + name)
    for renamed in (weights, {key.replace('.layer.', '.layers.'): value
                              for key, value in weights.items()}):
        model.load_state_dict(renamed)
        torch.testing.assert_close(dict(model.state_dict()), dict(expected.state_dict()))


def test_our_towers_refuse_it_and_say_what_runs_it(folders, tmp_path):
    model = make_own()
    with pytest.raises(CheckpointError, match=r"xclip.config\.json.*model_type='xclip'.*"
                       'HuggingFaceTextEncoder run it as it is'):
        load_checkpoint(model, str(folders / 'xclip'))
    with pytest.raises(CheckpointError, match="model_type='xclip'"):
        convert_checkpoint(folders / 'xclip', tmp_path / 'out.safetensors')
    assert 'mit.position_embedding' in read_weights(folders / 'xclip')[0]


@pytest.mark.parametrize('change_of_vision', [
    dict(hidden_act='swishy'), dict(num_channels=1), dict(num_attention_heads=3)])
def test_the_library_is_advised_only_where_it_runs(change, change_of_vision):
    folder = change('config.json', lambda c: c['vision_config'].update(change_of_vision))
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(make_own(), str(folder))
    assert 'HuggingFace' not in str(raised.value)


def test_it_is_not_advised_where_it_cannot_be_built(folders, monkeypatch):
    monkeypatch.setattr('tvtsv2_mm.checkpoints.hugging_face.AutoModel', None)
    with pytest.raises(CheckpointError, match="model_type='xclip'") as raised:
        load_checkpoint(make_own(), str(folders / 'xclip'))
    assert 'HuggingFace' not in str(raised.value)


@torch.no_grad()
def test_one_clip_two_ways(tmp_path):
    """Our own towers and the library: the same numbers of the same folder."""
    torch.manual_seed(0)
    make_hugging_face('quick_gelu').save_pretrained(tmp_path)
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(dict(
        image_processor_type='CLIPImageProcessor', image_mean=[0.5] * 3, image_std=[0.5] * 3,
        size=dict(shortest_edge=32), crop_size=32, do_center_crop=True, resample=3)))
    library = build(tmp_path, neck=False)
    load_checkpoint(library, str(tmp_path))
    own = make_own(type='FramewiseViT')
    own.data_preprocessor = None
    load_checkpoint(own, str(tmp_path))
    video = torch.randn(2, 3, 3, VISION['image_size'], VISION['image_size'])
    torch.testing.assert_close(library.backbone(video)[0], own.eval().backbone(video)[0],
                               atol=1e-5, rtol=0)
