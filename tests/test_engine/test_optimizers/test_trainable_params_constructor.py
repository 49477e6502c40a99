import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

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
