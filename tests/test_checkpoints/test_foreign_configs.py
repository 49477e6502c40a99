"""Small CLIPs of other libraries, saved as folders: the same numbers, or refused by name."""

import json
from dataclasses import fields

import open_clip
import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file
from torch.nn.functional import normalize
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedTokenizerFast,
)

from tests.clip_models import randomize
from tvtsv2_mm.apis.export import TextTower
from tvtsv2_mm.checkpoints import CheckpointError, given_description, read_state_dict
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint
from tvtsv2_mm.checkpoints.description import CLIP_MEAN, CLIP_STD
from tvtsv2_mm.checkpoints.foreign_configs import read_description
from tvtsv2_mm.checkpoints.model_config import _known_model
from tvtsv2_mm.checkpoints.sharded import save_sharded
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.tokenizer import build_clip_tokenizer

VISION = dict(hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=1,
              image_size=32, patch_size=8)
TEXT = dict(hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=1,
            vocab_size=80, max_position_embeddings=12, bos_token_id=0, eos_token_id=79)
SMALL_VIT = dict(layers=2, width=64, image_size=32, patch_size=8)
SMALL_TEXT = dict(context_length=12, vocab_size=80, width=64, heads=1, layers=2)


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        yield


def hugging_face(vision=(), text=(), model=CLIPModel, config=CLIPConfig):
    return model(config(vision_config=VISION | dict(vision), text_config=TEXT | dict(text),
                        projection_dim=24))


def make_open_clip(vision=(), text=(), **top):
    config = dict(embed_dim=24, vision_cfg=SMALL_VIT | dict(vision),
                  text_cfg=SMALL_TEXT | dict(text), **top)
    return open_clip.CLIP(**config), config


def write_open_clip(folder, made):
    model, config = made
    save_file({key: value.contiguous() for key, value in model.state_dict().items()},
              folder / 'open_clip_model.safetensors')
    (folder / 'open_clip_config.json').write_text(json.dumps(
        dict(model_cfg=config, preprocess_cfg={})))


def make_inputs(end):
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 3, 32, 32, generator=generator)
    tokens = torch.randint(3, 78, (2, 12), generator=generator)
    tokens[tokens == end] = 3
    for row, at in enumerate((6, 9)):
        tokens[row, at], tokens[row, at + 1:] = end, 0
    return image, tokens


@torch.no_grad()
def check_equal(folder, foreign, end=79):
    """Through the printed config and load_from: both embeddings, and the exported text tower."""
    found = inspect_checkpoint(folder)
    ours = MODELS.build(found.config).eval()
    load_checkpoint(ours, str(folder))
    image, tokens = make_inputs(end)
    if isinstance(foreign, torch.nn.Module) and hasattr(foreign, 'encode_image'):
        expected = foreign.encode_image(image), foreign.encode_text(tokens)
    else:
        outputs = foreign(pixel_values=image, input_ids=tokens)
        expected = outputs.image_embeds, outputs.text_embeds
    expected = [normalize(value, dim=-1) for value in expected]
    got = ours.backbone(image[:, None])[0], ours.encode_text(tokens)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(normalize(one, dim=-1), other, atol=1e-5, rtol=0)
    torch.testing.assert_close(TextTower(ours)(tokens), expected[1], atol=1e-5, rtol=0)
    return ours


@pytest.mark.parametrize('case', [
    dict(),
    dict(vision=dict(hidden_act='gelu'), text=dict(hidden_act='quick_gelu')),
    dict(vision=dict(hidden_act='gelu_pytorch_tanh'), text=dict(hidden_act='gelu')),
    dict(text=dict(hidden_act='gelu_pytorch_tanh')),
    dict(vision=dict(layer_norm_eps=1e-3), text=dict(layer_norm_eps=1e-2)),
    dict(vision=dict(intermediate_size=192), text=dict(intermediate_size=320)),
    dict(vision=dict(num_attention_heads=4), text=dict(num_attention_heads=2)),
    dict(text=dict(eos_token_id=50), end=50),
    dict(text=dict(eos_token_id=2)),
    dict(text=dict(eos_token_id=2), model=MetaClip2Model, config=MetaClip2Config, end=2),
], ids=str)
def test_folders_of_hugging_face(tmp_path, case):
    case = dict(case)
    end = case.pop('end', 79)
    torch.manual_seed(0)
    foreign = hugging_face(**case).eval()
    randomize(foreign)
    foreign.save_pretrained(tmp_path)
    check_equal(tmp_path, foreign, end)


@pytest.mark.parametrize(('case', 'end'), [
    (dict(), 79),
    (dict(quick_gelu=True), 79),
    (dict(vision=dict(head_width=16, mlp_ratio=4.9231), text=dict(heads=4, mlp_ratio=2)), 79),
    (dict(vision=dict(norm_kwargs=dict(eps=1e-3)),
          text=dict(norm_kwargs=dict(eps=1e-2), act_kwargs=dict(approximate='tanh'))), 79),
    *[(dict(text=dict(pool_type='eos', eos_id=2, hf_tokenizer_name='facebook/xlm-v-base')), 2)
      for field in fields(open_clip.CLIPTextCfg) if field.name == 'eos_id'],  # open_clip 3.2's
], ids=str)
def test_folders_of_open_clip(tmp_path, case, end):
    torch.manual_seed(0)
    made = make_open_clip(**case)
    randomize(made[0])
    write_open_clip(tmp_path, made)
    check_equal(tmp_path, made[0].eval(), end)


def test_a_folder_of_the_video_side_alone(tmp_path):
    torch.manual_seed(0)
    foreign = CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=24, **VISION)).eval()
    foreign.save_pretrained(tmp_path)
    found = inspect_checkpoint(tmp_path)
    assert 'neck' not in found.config
    ours = MODELS.build(found.config).eval()
    load_checkpoint(ours, str(tmp_path))
    image, _ = make_inputs(79)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.backbone(image[:, None])[0],
            normalize(foreign(pixel_values=image).image_embeds, dim=-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(('change', 'message'), [
    (dict(model_type='siglip2'), "model_type='siglip2'"),
    (dict(model_type='chinese_clip'), "model_type='chinese_clip'"),
    (dict(model_type=['clip']), 'model_type='),
    (dict(auto_map={'AutoModel': 'x.Model'}), 'auto_map='),
    (dict(quantization_config=dict(bits=4)), 'quantization_config='),
    (dict(vision_config=VISION | dict(hidden_act='relu')), r"vision_config\.hidden_act='relu'"),
    (dict(text_config=TEXT | dict(hidden_act='silu')), r"text_config\.hidden_act='silu'"),
    (dict(vision_config=VISION | dict(num_channels=4)), r'vision_config\.num_channels=4'),
    (dict(vision_config=VISION | dict(image_size=[32, 24])), r'vision_config\.image_size='),
    (dict(vision_config=VISION | dict(image_size=36)), r'backbone\.image_size is 32 .* but 36'),
    (dict(vision_config=VISION | dict(num_hidden_layers=3)), r'backbone\.layers is 2 .* but 3'),
    (dict(vision_config=VISION | dict(layer_norm_eps=-1.0)), r'backbone\.norm_eps=-1\.0'),
    (dict(vision_config=VISION | dict(hidden_size='wide')), r"hidden_size|backbone\.width='wide'"),
    (dict(text_config=TEXT | dict(eos_token_id=[2, 3])), r'text_config\.eos_token_id='),
    (dict(text_config=TEXT | dict(vocab_size=81)), r'neck\.vocab_size is 80 .* but 81'),
    (dict(text_config=7), 'text_config|CLIPTextConfig'),
])
def test_what_hugging_face_says_and_we_have_not(tmp_path, change, message):
    foreign = hugging_face()
    foreign.save_pretrained(tmp_path)
    config = json.loads((tmp_path / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=message) as raised:
        inspect_checkpoint(tmp_path)
    assert 'config.json' in str(raised.value)


@pytest.mark.parametrize(('part', 'change', 'message'), [
    *(('vision_cfg', {name: value}, rf'vision_cfg\.{name}=') for name, value in dict(
        timm_model_name='vit_base', attentional_pool=True, no_ln_pre=True, pool_type='avg',
        ls_init_value=1e-4, qk_norm=True, scale_fc=True, block_type='custom', head_width=48,
        final_ln_after_pool=True, act_kwargs=dict(approximate='x'), norm_kwargs=dict(bias=False),
        pos_embed_type='sin_cos_2d', rope=True, image_size=[32, 16], mlp_ratio='4').items()),
    *(('text_cfg', {name: value}, rf'text_cfg\.{name}=') for name, value in dict(
        hf_model_name='roberta-base', pool_type='last', no_causal_mask=True, embed_cls=True,
        proj_bias=True, proj_type='none', ls_init_value=1e-4, rotary=True).items()),
    (None, dict(multimodal_cfg=dict(width=8)), 'multimodal_cfg='),
    (None, dict(moe=4), r'moe=4 is not known'),
    (None, dict(quick_gelu='false'), "quick_gelu='false' is neither"),
])
def test_what_open_clip_says_and_we_have_not(tmp_path, part, change, message):
    model, config = make_open_clip()
    config = config | ({part: config[part] | change} if part else change)
    write_open_clip(tmp_path, (model, config))
    with pytest.raises(CheckpointError, match=message):
        inspect_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        read_state_dict(tmp_path)


def test_a_temperature_that_is_not_taken_is_told(tmp_path):
    made = make_open_clip()
    write_open_clip(tmp_path, made)
    config = inspect_checkpoint(tmp_path).config
    model = MODELS.build(config | dict(contrastive_head=dict(type='VideoTextContrastiveHead')))
    load_checkpoint(model, str(tmp_path))
    [line] = model.load_report['assumed']
    assert 'its temperature is 0.07, that of contrastive_head 0.05' in line


def test_whole_numbers_are_no_weights(tmp_path):
    made = make_open_clip()
    weights = made[0].state_dict()
    weights['visual.proj'] = weights['visual.proj'].to(torch.int8)
    save_file(weights, tmp_path / 'x.safetensors')
    with pytest.raises(CheckpointError, match=r'quantised weights:\n  backbone\.proj: torch\.int8'):
        convert_checkpoint(tmp_path / 'x.safetensors', tmp_path / 'own.pth')


def test_a_tower_without_a_projection(tmp_path):
    CLIPVisionModel(CLIPVisionConfig(**VISION)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r'architectures=.* has no projection'):
        read_state_dict(tmp_path)


def test_the_config_of_the_weights_is_read(tmp_path):
    """laion's folders have the config of both libraries."""
    made = make_open_clip(quick_gelu=True)
    write_open_clip(tmp_path, made)
    hugging_face(vision=dict(hidden_act='gelu')).config.save_pretrained(tmp_path)
    assert inspect_checkpoint(tmp_path).config['backbone']['activation'] == 'quick_gelu'


def test_a_renamed_file_that_is_alone_has_its_config(tmp_path):
    hugging_face(vision=dict(hidden_act='gelu')).save_pretrained(tmp_path)
    (tmp_path / 'model.safetensors').rename(tmp_path / 'clip.safetensors')
    assert inspect_checkpoint(
        tmp_path / 'clip.safetensors').config['backbone']['activation'] == 'gelu'
    (tmp_path / 'other.pth').touch()
    found = inspect_checkpoint(tmp_path / 'clip.safetensors')
    assert any(line.startswith('backbone.activation') for line in found.assumed)


@pytest.mark.parametrize('convert', [None, 'own.pth', 'own.safetensors'])
@pytest.mark.parametrize(('part', 'name', 'value'), [
    ('backbone', 'activation', 'quick_gelu'), ('neck', 'activation', 'quick_gelu'),
    ('backbone', 'heads', 2), ('neck', 'heads', 2), ('backbone', 'norm_eps', 1e-6),
    ('neck', 'norm_eps', 1e-6), ('neck', 'end_token', None)])
def test_load_from_refuses_another_model(tmp_path, part, name, value, convert):
    hugging_face(dict(hidden_act='gelu'), dict(hidden_act='gelu', eos_token_id=50)).save_pretrained(
        tmp_path)
    config = inspect_checkpoint(tmp_path).config
    source = tmp_path
    if convert is not None:
        source = tmp_path / convert
        convert_checkpoint(tmp_path, source)
    assert value != config[part][name]
    config[part] = config[part] | {name: value}
    with pytest.raises(CheckpointError, match=rf'{part}\.{name}: .* by the model config'):
        load_checkpoint(MODELS.build(config), str(source))


@pytest.mark.parametrize('wrap', [
    lambda model: dict(state_dict=model.state_dict()),
    lambda model: ExponentialMovingAverage(model).state_dict(),
    lambda model: torch.compile(model).state_dict(),
    'sharded'])
def test_own_checkpoints_tell_their_model(tmp_path, wrap):
    config = dict(type='VideoTextModel', backbone=dict(
        type='SpaceTimeViT', image_size=32, patch_size=8, width=64, layers=1, heads=2,
        embed_dim=24, num_frames=2))
    path = tmp_path / 'own.pth'
    if wrap == 'sharded':
        save_sharded(path, dict(state_dict=MODELS.build(config).state_dict()), {})
    else:
        torch.save(wrap(MODELS.build(config)), path)
        torch.load(path, weights_only=True)
    model = MODELS.build(config)
    load_checkpoint(model, str(path))
    assert model.load_report['assumed'] == []
    config['backbone'] |= dict(heads=4, token_output='patches_raw')
    with pytest.raises(CheckpointError, match=r'backbone\.heads: 2 by the checkpoint, 4 [\s\S]*'
                       r"backbone\.token_output: 'all_normed' by"):
        load_checkpoint(MODELS.build(config), str(path))


def test_labels_are_not_read(tmp_path):
    """The library makes a name for each."""
    hugging_face().save_pretrained(tmp_path)
    config = json.loads((tmp_path / 'config.json').read_text())
    for part in (config, config['vision_config']):
        part['num_labels'] = 'a thousand millions'
    (tmp_path / 'config.json').write_text(json.dumps(config))
    assert inspect_checkpoint(tmp_path).config['backbone']['heads']


def test_what_was_read_can_be_saved_and_read_by_anybody(tmp_path):
    hugging_face(vision=dict(hidden_act='gelu')).save_pretrained(tmp_path)
    (tmp_path / 'again').mkdir()
    path = tmp_path / 'again' / 'weights.pth'
    torch.save(read_state_dict(tmp_path), path)
    torch.load(path, weights_only=True)
    assert inspect_checkpoint(path).config == inspect_checkpoint(tmp_path).config


def test_a_bare_file_says_what_it_cannot_tell(tmp_path):
    made = make_open_clip()
    save_file(made[0].state_dict(), tmp_path / 'bare.safetensors')
    found = inspect_checkpoint(tmp_path / 'bare.safetensors')
    untold = {'backbone.heads', 'backbone.activation', 'backbone.norm_eps', 'neck.heads',
              'neck.activation', 'neck.norm_eps', 'neck.end_token', 'neck.tokenizer',
              'data_preprocessor.mean', 'data_preprocessor.std'}
    assert {line.split('=')[0] for line in found.assumed} == untold
    ours = MODELS.build(found.config)
    load_checkpoint(ours, str(tmp_path / 'bare.safetensors'))
    [line] = ours.load_report['assumed']
    assert "backbone.activation='quick_gelu'" in line
    assert all(f'{name}=' in line for name in untold)
    report = {}
    convert_checkpoint(tmp_path / 'bare.safetensors', tmp_path / 'own.pth', report=report)
    assert 'does not tell backbone.heads, ' in report['assumed'][0]


def test_what_is_given_is_told_on(tmp_path):
    made = make_open_clip()
    save_file(made[0].state_dict(), tmp_path / 'bare.safetensors')
    given = given_description({'backbone.activation': 'gelu', 'neck.activation': 'gelu'})
    convert_checkpoint(tmp_path / 'bare.safetensors', tmp_path / 'own.pth', given=given)
    assert inspect_checkpoint(tmp_path / 'own.pth').config['neck']['activation'] == 'gelu'
    with pytest.raises(CheckpointError, match=r'backbone\.hands, which is unknown; known are'):
        given_description({'backbone.hands': 2})
    with pytest.raises(CheckpointError, match=r"backbone\.heads='2' is no int"):
        given_description({'backbone.heads': '2'})


@pytest.mark.parametrize('vocabulary', [dict(file='vocab.json', content=dict(a=0)),
                                        dict(file='tokenizer.json', content=dict(model=3))])
def test_another_tokenizer_is_refused_by_name(tmp_path, vocabulary):
    hugging_face().save_pretrained(tmp_path)
    (tmp_path / vocabulary['file']).write_text(json.dumps(vocabulary['content']))
    (tmp_path / 'tokenizer_config.json').write_text('{"tokenizer_class": "BertTokenizer"}')
    config = inspect_checkpoint(tmp_path).config
    assert config['neck']['tokenizer'] == 'BertTokenizer'
    load_checkpoint(MODELS.build(config), str(tmp_path))
    config['neck'] = config['neck'] | dict(tokenizer='clip')
    with pytest.raises(CheckpointError, match=r"neck\.tokenizer: 'BertTokenizer' by"):
        load_checkpoint(MODELS.build(config), str(tmp_path))


def test_names_of_tokenizers_are_those_that_an_own_config_may_have(tmp_path):
    hugging_face().save_pretrained(tmp_path)
    (tmp_path / 'tokenizer_config.json').write_text('{"tokenizer_class": "x/y\\u001b[0m z"}')
    model = inspect_checkpoint(tmp_path).config
    assert model['neck']['tokenizer'] == 'x_y_0m_z'
    assert _known_model(model)['neck']['tokenizer'] == 'x_y_0m_z'


def test_clips_own_tokenizer(tmp_path):
    hugging_face().save_pretrained(tmp_path)
    PreTrainedTokenizerFast(tokenizer_object=build_clip_tokenizer()).save_pretrained(tmp_path)
    assert inspect_checkpoint(tmp_path).config['neck']['tokenizer'] == 'clip'


@pytest.mark.parametrize(('file', 'content', 'name'), [
    ('tokenizer_config.json', dict(), 'clip'),
    ('added_tokens.json', {'<|endoftext|>': 49407}, 'clip'),
    ('added_tokens.json', {'<sks>': 49408}, 'another_vocabulary'),
    ('special_tokens_map.json', dict(additional_special_tokens=['<sks>']), 'another_vocabulary'),
    ('tokenizer.json', dict(model=3), 'another_vocabulary')])
def test_tokens_added_to_clips(tmp_path, file, content, name):
    """Without tokenizer.json, or with a damaged one, CLIPTokenizer is not yet CLIP's vocabulary."""
    hugging_face().save_pretrained(tmp_path)
    (tmp_path / file).write_text(json.dumps(content))
    (tmp_path / 'tokenizer_config.json').write_text('{"tokenizer_class": "CLIPTokenizer"}')
    assert inspect_checkpoint(tmp_path).config['neck']['tokenizer'] == name
    vocabulary = build_clip_tokenizer().get_vocab()
    (tmp_path / 'vocab.json').write_text(json.dumps(vocabulary))
    assert inspect_checkpoint(tmp_path).config['neck']['tokenizer'] == name


def test_a_tokenizer_that_cuts_before_the_positions_end_is_told(tmp_path):
    hugging_face().save_pretrained(tmp_path)
    (tmp_path / 'tokenizer_config.json').write_text('{"model_max_length": 5}')
    assert any('model_max_length=5: texts are cut there' in line
               for line in inspect_checkpoint(tmp_path).assumed)
    (tmp_path / 'tokenizer_config.json').write_text('{"model_max_length": 1e30}')
    assert not any('model_max_length' in line for line in inspect_checkpoint(tmp_path).assumed)


@pytest.mark.parametrize('file', ['preprocessor_config.json', 'open_clip_config.json'])
def test_pixels_that_a_config_leaves_out_are_clips(tmp_path, file):
    if file.startswith('open_clip'):
        write_open_clip(tmp_path, make_open_clip())
    else:
        hugging_face().save_pretrained(tmp_path)
        (tmp_path / file).write_text('{"image_processor_type": "CLIPImageProcessor"}')
    pixels = inspect_checkpoint(tmp_path).config['data_preprocessor']
    assert pixels['mean'] == pytest.approx(CLIP_MEAN) and pixels['std'] == pytest.approx(CLIP_STD)


@pytest.mark.parametrize(('values', 'message'), [
    (dict(image_processor_type='SiglipImageProcessor'), 'leaves image_mean to the library'),
    (dict(image_mean=[float('nan'), 0, 0], image_std=[1, 1, 1]), 'image_mean=.* must be'),
    (dict(image_mean=[0, 0, 0], image_std=[1, 1, 0]), 'image_std=.* must be .*, above 0'),
    (dict(image_processor_type='ConvNextImageProcessor', crop_pct=0.9),
     "image_processor_type='ConvNextImageProcessor' is not implemented; known are .*CLIPImage"),
    (dict(do_rescale=False), 'do_rescale=False and .* leave pixels at 0..255'),
    (dict(do_pad=True), 'do_pad=True is not implemented for a CLIPImageProcessor; read are'),
    (dict(auto_map=dict(AutoImageProcessor='evil.Processor')), 'auto_map=.* is not run')])
def test_pixels_that_are_refused(tmp_path, values, message):
    hugging_face().save_pretrained(tmp_path)
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=rf'preprocessor_config\.json.*{message}'):
        inspect_checkpoint(tmp_path)


@pytest.mark.parametrize('values', [
    dict(tokenizer_class='evil.Tokenizer'), dict(auto_map=dict(AutoTokenizer='evil.Tokenizer'))])
def test_tokenizers_that_are_code_are_refused(tmp_path, values):
    hugging_face().save_pretrained(tmp_path)
    PreTrainedTokenizerFast(tokenizer_object=build_clip_tokenizer()).save_pretrained(tmp_path)
    (tmp_path / 'tokenizer_config.json').write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r'tokenizer_config\.json: .* is not implemented'):
        inspect_checkpoint(tmp_path)


def test_pixels_of_another_processor(tmp_path):
    """EfficientNet's, which shifts pixels to -1..1 before all else, and normalises twice."""
    hugging_face().save_pretrained(tmp_path)
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(dict(
        image_processor_type='EfficientNetImageProcessor', rescale_factor=1 / 127.5,
        rescale_offset=True, include_top=True, do_normalize=False, image_std=0.5)))
    pixels = inspect_checkpoint(tmp_path).config['data_preprocessor']
    assert (pixels['mean'], pixels['std']) == ((127.5, ) * 3, (63.75, ) * 3)


def test_the_eps_of_a_float32_is_the_same(tmp_path):
    model = hugging_face(vision=dict(layer_norm_eps=9.999999747378752e-06))
    model.save_pretrained(tmp_path)
    config = inspect_checkpoint(tmp_path).config
    config['backbone']['norm_eps'] = 1e-5
    load_checkpoint(MODELS.build(config), str(tmp_path))


def test_pixels(tmp_path):
    hugging_face().save_pretrained(tmp_path)
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(dict(
        image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.25, 0.25], resample=2)))
    found = inspect_checkpoint(tmp_path)
    assert found.config['data_preprocessor'] == dict(
        type='VideoTextDataPreprocessor', mean=(127.5, ) * 3, std=(63.75, ) * 3)
    assert any('resample=2' in line for line in found.assumed)
    load_checkpoint(MODELS.build(found.config), str(tmp_path))
    other = found.config | dict(data_preprocessor=dict(type='VideoTextDataPreprocessor'))
    with pytest.raises(CheckpointError, match=r'data_preprocessor\.mean: \(127\.5'):
        load_checkpoint(MODELS.build(other), str(tmp_path))
    # TVTSv2 trains a CLIP on with other pixels.
    other['backbone'] = other['backbone'] | dict(type='SpaceTimeViT', num_frames=2)
    model = MODELS.build(other)
    load_checkpoint(model, str(tmp_path))
    assert any('trained on with other pixels' in line for line in model.load_report['assumed'])


@pytest.mark.parametrize('config', [
    '{"model_type": "clip_vision_model", "architectures": 5}',
    '{"model_type": "clip", "vision_config": [], "text_config": 1}'])
def test_values_of_any_type_are_one_error(tmp_path, config):
    (tmp_path / 'config.json').write_text(config)
    with pytest.raises(CheckpointError, match=r'config\.json'):
        read_description(tmp_path / 'model.safetensors', with_folder=True)
