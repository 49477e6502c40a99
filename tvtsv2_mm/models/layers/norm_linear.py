"""Linear layers, together with what stands before them, which is computed again for the backward.

Kept for the backward are the inputs: of a layer norm the residual, which is kept anyway, and of an
activation the hidden values alone. Normalised and activated values are elementwise in them and
cheap; QuickGELU in plain operations would keep three tensors of the hidden width.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .cpu.products import product


class Activation(NamedTuple):
    """An activation a(x) = function(scale * x) / scale.

    The factors go into the layers before and after it.
    """

    scale: float
    function: Callable[[Tensor], Tensor]
    function_: Callable[[Tensor], Tensor]  # in place
    derivative: Callable[..., Tensor]  # (gradient, scale * x, grad_input=...) -> gradient

    def __reduce__(self) -> tuple:
        """By its name: an operator of torch cannot be pickled, and so could no model."""
        return build_activation, (next(
            name for name, activation in ACTIVATIONS.items() if activation is self), )


# x * sigmoid(1.702 x) is silu(1.702 x) / 1.702.
ACTIVATIONS = dict(
    quick_gelu=Activation(1.702, F.silu, torch.ops.aten.silu_.default,
                          torch.ops.aten.silu_backward),
    gelu=Activation(1.0, F.gelu, torch.ops.aten.gelu_.default,
                    torch.ops.aten.gelu_backward),
    gelu_pytorch_tanh=Activation(
        1.0, *(partial(function, approximate='tanh') for function in (
            F.gelu, torch.ops.aten.gelu_.default, torch.ops.aten.gelu_backward))))


def build_activation(name: str) -> Activation:
    """'quick_gelu' (OpenAI), the exact 'gelu' (OpenCLIP) or its approximation by tanh."""
    if name not in ACTIVATIONS:
        raise ValueError(f'activation must be one of {sorted(ACTIVATIONS)}, not {name!r}')
    return ACTIVATIONS[name]


def is_plain(module: nn.Module, cls: type[nn.Module]) -> bool:
    """Whether its parameters are all of it.

    Not so where another class stands in (LoRA, quantised layers), nor under hooks (pruning, FLOP
    counters, gradients by sample). While torch.jit traces, none is: it wants plain operations.
    """
    hooks = (module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks,
             module._backward_hooks)
    return type(module) is cls and not any(hooks) and not torch.jit.is_tracing()


def norm_linear(x: Tensor, norm: nn.LayerNorm, linear: nn.Linear, scale: float = 1.0) -> Tensor:
    """scale * linear(norm(x)): (R, D) -> (R, D'), in autocast's dtype where it is on.

    As in all of these functions, modules that are not plain are called as they are.
    """
    if not (is_plain(norm, nn.LayerNorm) and is_plain(linear, nn.Linear)):
        return scale * linear(norm(x))
    weight, bias = _in_compute_dtype(x, linear)
    # The factor goes to vectors alone: the norm's for the product.
    norm_weight, norm_bias, bias = (
        vector if scale == 1 else scale * vector for vector in (norm.weight, norm.bias, bias))
    return _NormLinear.apply(x, norm_weight, norm_bias, norm.eps, weight, bias)


def activation_linear(hidden: Tensor, activation: Activation, linear: nn.Linear) -> Tensor:
    """linear(a(x)) of hidden = scale * x: (R, D') -> (R, D).

    Where gradients are off, ``hidden`` is overwritten: fresh memory for the widest matrix of the
    encoder costs a CPU more than the activation itself.
    """
    if not is_plain(linear, nn.Linear):
        return linear(activation.function(hidden) / activation.scale)
    weight, bias = _in_compute_dtype(hidden, linear)
    if not torch.is_grad_enabled():
        return product(
            activation.function_(hidden), weight.t(), bias, scale=1 / activation.scale)
    return _ActivationLinear.apply(hidden, activation, weight, bias)


def plain_linear(x: Tensor, linear: nn.Linear) -> Tensor:
    """linear(x): (R, D) -> (R, D')."""
    if not is_plain(linear, nn.Linear):
        return linear(x)
    weight, bias = _in_compute_dtype(x, linear)
    return _Linear.apply(x.to(weight.dtype), weight, bias)


def _in_compute_dtype(x: Tensor, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    dtype = linear.weight.dtype
    # Of the meta device, on which sizes are checked, torch cannot say it.
    if x.device.type != 'meta' and torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
    return linear.weight.to(dtype), linear.bias.to(dtype)


class _Linear(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight.t(), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        x, weight = ctx.saved_tensors
        needs = ctx.needs_input_grad
        return (product(grad, weight) if needs[0] else None,
                product(grad.t(), x) if needs[1] else None,
                grad.sum(dim=0) if needs[2] else None)


class _NormLinear(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm_weight: Tensor, norm_bias: Tensor, eps: float,
                weight: Tensor, bias: Tensor) -> Tensor:
        normed, mean, rstd = torch.native_layer_norm(
            x, x.shape[-1:], norm_weight, norm_bias, eps)
        ctx.save_for_backward(x, mean, rstd, norm_weight, norm_bias, weight)
        ctx.eps = eps
        return product(normed.to(weight.dtype), weight.t(), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        x, mean, rstd, norm_weight, norm_bias, weight = ctx.saved_tensors
        needs = ctx.needs_input_grad
        grads: list[Tensor | None] = [None] * 6
        if needs[4]:
            normed = torch.native_layer_norm(
                x, x.shape[-1:], norm_weight, norm_bias, ctx.eps)[0].to(weight.dtype)
            grads[4] = product(grad.t(), normed)
            del normed
        if needs[5]:
            grads[5] = grad.sum(dim=0)
        if any(needs[:3]):
            through = product(grad, weight).to(x.dtype)
            grads[:3] = torch.ops.aten.native_layer_norm_backward(
                through, x, x.shape[-1:], mean, rstd, norm_weight, norm_bias, needs[:3])
        return tuple(grads)


class _ActivationLinear(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, activation: Activation, weight: Tensor,
                bias: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        ctx.activation = activation
        return product(
            activation.function(hidden), weight.t(), bias, scale=1 / activation.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        hidden, weight = ctx.saved_tensors
        activation, needs = ctx.activation, ctx.needs_input_grad
        grads: list[Tensor | None] = [None] * 4
        if needs[2]:
            grads[2] = product(
                grad.t(), activation.function(hidden), scale=1 / activation.scale)
        if needs[3]:
            grads[3] = grad.sum(dim=0)
        if needs[0]:
            through = product(grad, weight, scale=1 / activation.scale)
            # Compiled code finds what to overwrite itself, and is not told so in torch 2.7.
            out = {} if torch.compiler.is_compiling() else dict(grad_input=through)
            grads[0] = activation.derivative(through, hidden, **out)
        return tuple(grads)
