import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.utils import prune

from tests.helpers import assert_same_gradients
from tvtsv2_mm.models.layers.norm_linear import (
    _ActivationLinear,
    _Linear,
    _NormLinear,
    activation_linear,
    build_activation,
    norm_linear,
    plain_linear,
)


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


PLAIN = dict(quick_gelu=quick_gelu, gelu=nn.functional.gelu,
             gelu_pytorch_tanh=nn.GELU(approximate='tanh'))


def make(dtype: torch.dtype = torch.float64) -> tuple[Tensor, nn.LayerNorm, nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    norm, first, second = nn.LayerNorm(6), nn.Linear(6, 10), nn.Linear(10, 6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    modules = (module.to(dtype) for module in (norm, first, second))
    return torch.randn(5, 6, dtype=dtype, requires_grad=True), *modules


def own(x: Tensor, norm: nn.LayerNorm, first: nn.Linear, second: nn.Linear, name: str) -> Tensor:
    activation = build_activation(name)
    return activation_linear(norm_linear(x, norm, first, activation.scale), activation, second)


@pytest.mark.parametrize('name', PLAIN)
def test_equals_plain(name):
    x, *modules = make()
    norm, first, second = modules
    parameters = [x, *(p for module in modules for p in module.parameters())]
    expected = second(PLAIN[name](first(norm(x))))
    assert_same_gradients(own(x, *modules, name), expected, parameters)


def test_plain_linear_equals_its_module():
    x, _, first, _ = make()
    assert_same_gradients(plain_linear(x, first), first(x), [x, first.weight, first.bias])


def test_gradients_are_those_of_the_functions():
    x, norm, first, second = make()
    assert torch.autograd.gradcheck(_Linear.apply, (x, first.weight, first.bias))
    assert torch.autograd.gradcheck(
        lambda *args: _NormLinear.apply(*args[:3], 1e-5, *args[3:]),
        (x, norm.weight, norm.bias, first.weight, first.bias))
    hidden = torch.randn(5, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *args: _ActivationLinear.apply(args[0], build_activation('gelu'), *args[1:]),
        (hidden, second.weight, second.bias))


@pytest.mark.parametrize('frozen', ['input', 'norm', 'linear', 'bias'])
def test_what_is_frozen_gets_no_gradient(frozen):
    x, norm, first, _ = make()
    parts = dict(input=[x], norm=[norm.weight, norm.bias], linear=[first.weight, first.bias],
                 bias=[first.bias])
    for parameter in parts[frozen]:
        parameter.requires_grad_(False)
    everything = [x, norm.weight, norm.bias, first.weight, first.bias]
    norm_linear(x, norm, first).sum().backward()
    assert [p.grad is not None for p in everything] == [p.requires_grad for p in everything]
    everything = [x, first.weight, first.bias]
    for parameter in everything:
        parameter.grad = None
    plain_linear(x, first).sum().backward()
    assert [p.grad is not None for p in everything] == [p.requires_grad for p in everything]


def kept_shapes(function) -> list[tuple[int, ...]]:
    kept = []
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        function()
    return [tuple(t.shape) for t in kept]


def test_keeps_inputs_alone():
    """Of the rows (5): the input, mean and scale of a norm; the hidden values. Else parameters."""
    x, norm, first, second = make()
    shapes = kept_shapes(lambda: norm_linear(x, norm, first))
    assert sorted(shape for shape in shapes if shape[0] == 5) == [(5, 1), (5, 1), (5, 6)]
    hidden = torch.randn(5, 10, dtype=torch.float64, requires_grad=True)
    shapes = kept_shapes(lambda: activation_linear(hidden, build_activation('gelu'), second))
    assert [shape for shape in shapes if shape[0] == 5] == [(5, 10)]


@pytest.mark.parametrize('name', PLAIN)
def test_without_gradients_hidden_values_are_overwritten(name):
    x, *modules = make()
    norm, first, second = modules
    activation = build_activation(name)
    expected = second(PLAIN[name](first(norm(x))))
    with torch.no_grad():
        hidden = norm_linear(x, norm, first, activation.scale)
        out = activation_linear(hidden, activation, second)
        torch.testing.assert_close(hidden / activation.scale, PLAIN[name](first(norm(x))))
    torch.testing.assert_close(out, expected.detach())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    x, norm, first, second = make(torch.float32)
    expected = own(x, norm, first, second, 'quick_gelu')
    with torch.autocast('cpu', dtype=dtype):
        out = own(x, norm, first, second, 'quick_gelu')
        assert plain_linear(x, first).dtype == dtype
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, atol=0.05, rtol=0.05)
    out.float().sum().backward()
    grad, x.grad = x.grad, None
    assert grad.dtype == first.weight.grad.dtype == torch.float32
    expected.sum().backward()
    torch.testing.assert_close(grad, x.grad, atol=0.1, rtol=0.1)


def test_stand_ins_are_called():
    """LoRA and quantised layers put modules of other classes in the place of nn.Linear."""

    class Adapted(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    x, norm, first, second = make()
    adapted = []
    for linear in (first, second):
        adapted.append(Adapted(linear.in_features, linear.out_features).double())
        adapted[-1].load_state_dict(linear.state_dict())
    expected = adapted[1](quick_gelu(adapted[0](norm(x))))
    torch.testing.assert_close(own(x, norm, *adapted, 'quick_gelu'), expected)
    torch.testing.assert_close(plain_linear(x, adapted[0]), adapted[0](x))


def test_hooks_are_called():
    """Pruning computes a layer's weight in one; counters of FLOP live in others."""
    x, norm, first, second = make()
    prune.l1_unstructured(first, 'weight', amount=0.5)
    nn.init.constant_(first.weight_orig, 1)  # what is pruned stays 0
    seen = []
    second.register_forward_hook(lambda *_: seen.append('forward'))
    norm.register_full_backward_hook(lambda *_: seen.append('backward'))
    out = own(x, norm, first, second, 'quick_gelu')
    out.sum().backward()
    assert seen == ['forward', 'backward']
    pruned = nn.functional.linear(norm(x), first.weight_mask, first.bias)
    torch.testing.assert_close(out, second(quick_gelu(pruned)))


@pytest.mark.parametrize('name', PLAIN)
def test_an_activation_is_pickled_by_its_name(name):
    """As a model is for another process."""
    activation = build_activation(name)
    assert pickle.loads(pickle.dumps(activation)) is activation


def test_unknown_activation():
    with pytest.raises(ValueError, match=r"one of \['gelu', .*'quick_gelu'\], not 'relu'"):
        build_activation('relu')
