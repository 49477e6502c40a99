import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import SGD

from tvtsv2_mm.engine.optimizers import BFloat16OptimWrapper
from tvtsv2_mm.registry import OPTIM_WRAPPERS


def build(model, **kwargs):
    return OPTIM_WRAPPERS.build(dict(type='BFloat16OptimWrapper', **kwargs,
                                     optimizer=SGD(model.parameters(), lr=0.1)))


def test_forward_in_bfloat16_weights_and_gradients_in_float32():
    model = nn.Linear(4, 2)
    wrapper = build(model)
    assert isinstance(wrapper, BFloat16OptimWrapper)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(3, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    torch.testing.assert_close(model.weight.detach(), before - 0.1 * 3)
    assert model(torch.ones(3, 4)).dtype == torch.float32


def test_steps_only_after_the_accumulated_batches():
    model = nn.Linear(4, 2)
    wrapper = build(model, accumulative_counts=2)
    before = model.weight.detach().clone()
    for step in range(2):
        assert torch.equal(model.weight, before)
        with wrapper.optim_context(model):
            loss = model(torch.ones(3, 4)).float().mean()
        wrapper.update_params(loss)
        assert torch.equal(model.weight, before) is (step == 0)


def test_its_state_fits_a_plain_wrapper():
    model = nn.Linear(4, 2)
    plain = OptimWrapper(SGD(model.parameters(), lr=0.5))
    plain.load_state_dict(build(model).state_dict())
    assert plain.get_lr()['lr'] == [0.1]
