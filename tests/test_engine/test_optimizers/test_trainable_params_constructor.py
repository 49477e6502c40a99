import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from tvtsv2_mm.models import PartiallyFrozenTextEncoder, SpaceTimeViT

CFG = dict(
    type='OptimWrapper', constructor='TrainableParamsConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        yield


@pytest.fixture
def model() -> nn.Module:
    model = nn.ModuleDict(dict(
        old=nn.Linear(2, 2), new=nn.Linear(2, 2), norm=nn.LayerNorm(2), frozen=nn.Linear(2, 2)))
    model["frozen"].requires_grad_(False)
    return model


def names(model: nn.Module, group: dict) -> set[str]:
    return {name for name, p in model.named_parameters() if any(p is q for q in group['params'])}


def test_groups(model):
    wrapper = build_optim_wrapper(model, dict(CFG, paramwise_cfg=dict(lr_mult=dict(new=100))))
    groups = {
        frozenset(names(model, group)): (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
    }
    assert groups == {
        frozenset({'old.weight'}): (1e-3, 0.05),
        frozenset({'old.bias', 'norm.weight', 'norm.bias'}): (1e-3, 0.0),
        frozenset({'new.weight'}): (pytest.approx(0.1), 0.05),
        frozenset({'new.bias'}): (pytest.approx(0.1), 0.0),
    }


def test_rates_by_depth():
    """In both towers; the head, the norms behind the blocks and the projections have the whole."""
    model = nn.ModuleDict(dict(
        backbone=SpaceTimeViT(image_size=8, patch_size=8, width=4, layers=2, heads=1, embed_dim=2),
        neck=PartiallyFrozenTextEncoder(
            width=4, layers=3, heads=1, embed_dim=2, vocab_size=9, frozen_layers=0),
        cls_head=nn.Linear(2, 2)))
    wrapper = build_optim_wrapper(model, dict(CFG, paramwise_cfg=dict(
        layer_decay_rate=0.5, lr_mult={'temporal_embedding': 10})))
    factors = {name: group['lr'] / 1e-3 for group in wrapper.optimizer.param_groups
               for name in names(model, group)}
    text = 'neck.clip.text_model'
    assert factors.keys() == dict(model.named_parameters()).keys()
    for factor, found in {
            1.25: ['backbone.temporal_embedding'],
            0.125: ['backbone.conv1.weight', 'backbone.class_embedding', 'backbone.ln_pre.bias'],
            0.25: ['backbone.resblocks.0.timeattn.qkv.weight'],
            0.5: ['backbone.resblocks.1.mlp.c_fc.bias', f'{text}.encoder.layers.2.mlp.fc1.bias'],
            1: ['backbone.ln_post.weight', 'backbone.proj', 'cls_head.weight',
                'neck.clip.text_projection.weight', f'{text}.final_layer_norm.bias'],
            0.0625: [f'{text}.embeddings.token_embedding.weight']}.items():
        assert {name: factors[name] for name in found} == pytest.approx(
            dict.fromkeys(found, factor))
    # A group for each rate, with and without weight decay where there are such.
    assert len(wrapper.optimizer.param_groups) == 2 * 6 - 2


def test_rates_by_depth_where_no_part_tells_it(model):
    with pytest.raises(ValueError, match='no part of the model tells its depth'):
        build_optim_wrapper(model, dict(CFG, paramwise_cfg=dict(layer_decay_rate=0.5)))


def test_a_key_that_names_nothing(model):
    with pytest.raises(ValueError, match='lr_mult names what no parameter is called: nwe'):
        build_optim_wrapper(model, dict(CFG, paramwise_cfg=dict(lr_mult=dict(nwe=100))))


def test_unknown_option(model):
    with pytest.raises(ValueError, match='not custom_keys'):
        build_optim_wrapper(model, dict(CFG, paramwise_cfg=dict(custom_keys={})))


def test_nothing_trainable(model):
    with pytest.raises(ValueError, match='trainable'):
        build_optim_wrapper(model.requires_grad_(False), CFG)


def test_steps(model):
    wrapper = build_optim_wrapper(model, CFG)
    before = {name: p.clone() for name, p in model.named_parameters()}
    loss = sum(model[key](torch.ones(1, 2)).sum() for key in ('old', 'new'))
    wrapper.update_params(loss)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {'old.weight', 'old.bias', 'new.weight', 'new.bias'}
