import importlib
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.clip_models import make_model
from tvtsv2_mm import checkpoints
from tvtsv2_mm.checkpoints import CheckpointError, given_description, model_config
from tvtsv2_mm.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'


def meta_weights(**config):
    with torch.device('meta'):
        return dict(MODELS.build(dict(type='VideoTextModel', **config)).state_dict())


@pytest.mark.parametrize(('name', 'activation'), [
    ('vit-b32', None), ('vit-b16', None), ('vit-l14', None), ('vit-h14', None), ('tiny', None)])
def test_the_weights_of_each_config_give_that_config(name, activation):
    config = Config.fromfile(CONFIGS / f'tvtsv2_{name}.py').model.to_dict()
    parts = {key: config[key] for key in ('backbone', 'neck', 'sorting_head')}
    heads = given_description(
        {'backbone.heads': 3, 'neck.heads': 3, 'sorting_head.heads': 4}) if name == 'tiny' else None
    found, assumed = model_config(meta_weights(**parts), heads)
    assert any('activation' in line for line in assumed)
    for part, values in parts.items():
        values.pop('loss_weight', None)
        assert values.items() <= found[part].items()


def test_without_time_text_and_sorting_but_with_a_probe():
    weights = meta_weights(
        backbone=dict(type='FramewiseViT', width=64, heads=1, layers=1, image_size=32),
        cls_head=dict(type='LinearProbeHead', num_classes=7))
    found, _ = model_config(weights)
    assert found['backbone']['type'] == 'FramewiseViT'
    assert 'neck' not in found and 'sorting_head' not in found
    assert found['cls_head'] == dict(type='LinearProbeHead', num_classes=7, embed_dim=512)
    assert {key: value.shape for key, value in meta_weights(
        **{key: value for key, value in found.items() if key != 'type'}).items()} == {
            key: value.shape for key, value in weights.items()}


def test_heads_that_cannot_be_told():
    weights = meta_weights(
        backbone=dict(type='SpaceTimeViT', width=96, heads=3, layers=1, image_size=32))
    found, assumed = model_config(weights)
    assert 'heads' not in found['backbone']
    assert any(re.match(r'backbone\.heads=None: cannot be told .* width 96', x) for x in assumed)
    with pytest.raises(CheckpointError, match=r'backbone\.heads=5 does not divide the width 96'):
        model_config(weights, given_description({'backbone.heads': 5}))
    found, _ = model_config(weights, given_description({'backbone.heads': 3}))
    assert found['backbone']['heads'] == 3


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda w: w.pop('backbone.proj'), r'the checkpoint lacks backbone\.proj'),
    (lambda w: w.update({'backbone.proj': torch.ones(3)}), r'backbone\.proj has the shape \(3,\)'),
    (lambda w: w.update({'backbone.positional_embedding': torch.ones(12, 64)}),
     'for 11 patches, which are no square grid'),
    (lambda w: w.update({'backbone.positional_embedding': torch.ones(1, 64)}), 'for 0 patches'),
    (lambda w: w.update({'backbone.positional_embedding': torch.ones(0, 64)}), r'shape \(0, 64\)'),
    *((lambda w, number=number: w.update({f'backbone.resblocks.{number}.x': torch.ones(1)}),
       'there are 3 layers backbone') for number in (999_999_999, '9' * 5000)),
])
def test_sizes_that_cannot_be_read(spoil, message):
    weights = dict(make_model().state_dict())
    spoil(weights)
    with pytest.raises(CheckpointError, match=message):
        model_config(weights)


def test_the_module_of_the_same_name_does_not_hide_the_function():
    importlib.import_module('tvtsv2_mm.checkpoints.model_config')
    assert checkpoints.model_config is model_config
