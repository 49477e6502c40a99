"""ImageBind, InternVideo and ViCLIP: their files in, their outputs out."""

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import load_checkpoint
from torch.nn.functional import interpolate, normalize

from tests.golden_peers import (
    NAMES,
    PUBLISHED,
    as_published,
    clips_of,
    make_peer,
    published_shapes,
    read_config,
    read_golden,
    small_parts,
)
from tests.helpers import assert_close
from tvtsv2_mm.checkpoints import CheckpointError, given_description
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.registry import MODELS

LAYOUTS = dict(imagebind='ImageBind', internvideo='InternVideo-MM', viclip='ViCLIP')


def save(path, name, **changes):
    torch.save(as_published(name, read_golden(name)[0] | changes), path)
    return str(path)


@torch.no_grad()
def check_outputs(name, model):
    _, values, _ = read_golden(name)
    clips, tokens = clips_of(values)
    videos, texts = model.backbone(clips)[0], model.encode_text(tokens)
    if name == 'imagebind':  # views averaged, as of several crops; texts scaled
        shape = len(values['output.video_embed']), -1
        assert_close(normalize(videos, dim=-1).unflatten(0, shape).mean(dim=1),
                     values['output.video_embed'])
        assert_close(values['output.logit_scale_effective'] * normalize(texts, dim=-1),
                     values['output.text_embed_scaled'])
    else:
        assert_close(videos, values['output.video_raw'])
        assert_close(texts, values['output.text_raw'])


@pytest.mark.parametrize('name', NAMES)
def test_the_outputs_are_the_authors(tmp_path, name):
    model = make_peer(name)
    load_checkpoint(model, save(tmp_path / 'x.pth', name))
    report = model.load_report
    assert report['layout'] == LAYOUTS[name]
    assert report['new'] == report['unneeded'] == report['lost'] == []
    assert report['taken'] == len(model.state_dict())
    check_outputs(name, model)


@pytest.mark.parametrize(('name', 'dropped', 'learnt'), [
    ('imagebind', ['modality_postprocessors.text.1.log_logit_scale',
                   'modality_preprocessors.text.mask'], '0.05502'),
    ('internvideo', ['logit_scale', 'text_mask_embedding'], None),
    ('viclip', ['temp'], '0.0137')])
def test_what_is_not_taken_is_told(tmp_path, name, dropped, learnt):
    """Their temperature among it, where it is another."""
    weights, _, _ = read_golden(name)
    model = make_peer(name)
    load_checkpoint(model, save(tmp_path / 'x.pth', name))
    assert model.load_report['dropped'] == dropped
    scale = next(key for key in dropped if key in ('temp', 'logit_scale') or 'scale' in key)
    learnt = learnt or f'{weights[scale].neg().exp():.4g}'
    assert any(line.startswith(f'{scale} is not taken: its temperature is {learnt}, that of '
                               'contrastive_head 0.01') for line in model.load_report['assumed'])


def test_a_temperature_is_never_below_that_of_the_largest_scale(tmp_path):
    model = make_peer('imagebind')
    load_checkpoint(model, save(tmp_path / 'x.pth', 'imagebind', **{
        'modality_postprocessors.text.1.log_logit_scale': torch.tensor(9.0)}))
    assert not any('temperature' in line for line in model.load_report['assumed'])


def test_other_modalities_are_told_as_not_needed(tmp_path, caplog):
    others = {'modality_trunks.audio.blocks.3.norm_1.bias': torch.ones(2),
              'modality_trunks.audio.blocks.4.norm_1.bias': torch.ones(2),
              'modality_heads.imu.3.weight': torch.ones(2, 2)}
    model = make_peer('imagebind')
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    load_checkpoint(model, save(tmp_path / 'x.pth', 'imagebind', **others))
    logger.removeHandler(caplog.handler)
    assert model.load_report['unneeded'] == sorted(others)
    assert 'not needed by this model: modality_heads.imu, modality_trunks.audio' in caplog.text


@pytest.mark.parametrize('name', NAMES)
def test_a_name_that_nothing_knows_is_an_error(tmp_path, name):
    path = save(tmp_path / 'x.pth', name, other=torch.zeros(2))
    with pytest.raises(CheckpointError, match=r'not used by the model:\n  other'):
        load_checkpoint(make_peer(name), path)


@pytest.mark.parametrize(('name', 'key', 'told'), [
    ('viclip', 'vision_encoder.conv1.weight', r'backbone\.conv1\.weight cannot be made of tensors '
     r'of such shapes: vision_encoder\.conv1\.weight: \(3,\)'),
    ('imagebind', 'modality_preprocessors.text.pos_embed', 'position_embedding.weight cannot be'),
    ('internvideo', 'visual_proj', r'backbone\.proj: \(3,\) in the checkpoint')])
def test_a_tensor_of_another_shape_is_named(tmp_path, name, key, told):
    path = save(tmp_path / 'x.pth', name, **{key: torch.ones(3)})
    with pytest.raises(CheckpointError, match=rf'x\.pth: .*(\n.*)*{told}'):
        load_checkpoint(make_peer(name), path)


@pytest.mark.parametrize(('config', 'published'), PUBLISHED.items())
def test_the_published_file_fits_its_config(config, published):
    """By names and shapes, at full size."""
    with torch.device('meta'):
        model = MODELS.build(read_config(config).model)
        weights = {key: torch.empty(shape) if shape else torch.ones(shape, device='cpu')
                   for key, shape in published_shapes(published).items()}
    heads = model.backbone.built_with['heads'], model.neck.built_with['heads']
    model.load_state_dict(weights, assign=True)
    report = model.load_report
    assert report['new'] == report['resized'] == [] and report['taken'] == report['tensors']
    assert len(report['unneeded']) == (624 if published == 'ImageBind' else 0)
    assert {key.split('.')[1] for key in report['unneeded']} <= {
        'audio', 'depth', 'thermal', 'imu'}
    # All but what tokens are for is told by the layout: heads, activations, pixels and the rest.
    assert [line for line in report['assumed'] if 'not told' in line] == [
        "not told by the weights, as in the model config: backbone.token_output='all_normed'"
    ] * published.startswith('ViCLIP')
    assert heads == dict(huge=(16, 16), b16=(12, 8), l14=(16, 12))[config.split('_')[1]]


@pytest.mark.parametrize(('config', 'options', 'told'), [
    ('imagebind_huge', {'backbone.norm_eps': 1e-5}, 'backbone.norm_eps: 1e-06 by'),
    ('imagebind_huge', {'neck.activation': 'quick_gelu'}, "neck.activation: 'gelu' by"),
    ('internvideo_b16', {'backbone.heads': 8}, 'backbone.heads: 12 by'),
    ('viclip_b16', {'data_preprocessor.mean': [120.0, 120.0, 120.0]}, 'data_preprocessor.mean')])
def test_a_config_of_other_numbers_is_refused(config, options, told):
    cfg = read_config(config)
    cfg.merge_from_dict({f'model.{key}': value for key, value in options.items()})
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
        weights = {key: torch.empty(shape)
                   for key, shape in published_shapes(PUBLISHED[config]).items()}
    with pytest.raises(CheckpointError, match=told):
        model.load_state_dict(weights)


@pytest.mark.parametrize('name', NAMES)
def test_a_config_is_derived_and_a_conversion_keeps_the_numbers(tmp_path, name):
    source = save(tmp_path / 'x.pth', name)
    parts = small_parts(name)
    given = given_description({f'{part}.heads': parts[part]['heads']
                               for part in ('backbone', 'neck')})
    found = inspect_checkpoint(source, given=given)
    assert found.unused == []
    for part in ('backbone', 'neck'):
        # InternVideo's weights are for any number of frames.
        left_out = ('frozen_layers', *['num_frames'] * (name == 'internvideo'))
        own = {key: value for key, value in parts[part].items() if key not in left_out}
        assert own.items() <= found.config[part].items() | {('end_token', None)}
    convert_checkpoint(source, tmp_path / 'own.safetensors', given=given)
    model = VideoTextModel(**Config({key: found.config[key] for key in ('backbone', 'neck')}))
    load_checkpoint(model.eval(), str(tmp_path / 'own.safetensors'))
    assert model.load_report['layout'] == 'tvtsv2_mm'
    check_outputs(name, model)


def test_joint_attention_is_not_taken_for_a_start_of_divided(tmp_path):
    source, own = save(tmp_path / 'x.pth', 'viclip'), tmp_path / 'own.safetensors'
    with pytest.raises(CheckpointError, match=r'missing in the checkpoint:(\n.*)*timeattn'):
        load_checkpoint(make_peer('viclip', attention='divided'), source)
    convert_checkpoint(source, own, given=given_description(
        {'backbone.heads': 4, 'neck.heads': 3}))
    with pytest.raises(CheckpointError, match=r"backbone\.attention: 'joint' by .*, 'divided' by"):
        load_checkpoint(make_peer('viclip', attention='divided'), str(own))


def test_imagebind_at_another_size_has_positions_without_antialiasing(tmp_path):
    parts = small_parts('imagebind')
    parts['backbone']['image_size'] = 42
    model = VideoTextModel(**parts, interpolate_positions=True)
    load_checkpoint(model, save(tmp_path / 'x.pth', 'imagebind'))
    table = read_golden('imagebind')[0][
        'modality_preprocessors.vision.pos_embedding_helper.pos_embed'][0]
    grid = table[1:].unflatten(0, (4, 4)).permute(2, 0, 1)[None]
    expected = interpolate(grid, scale_factor=3 / 4, mode='bicubic')[0].permute(1, 2, 0)
    torch.testing.assert_close(model.backbone.positional_embedding[1:].unflatten(0, (3, 3)),
                               expected, atol=1e-5, rtol=0)
