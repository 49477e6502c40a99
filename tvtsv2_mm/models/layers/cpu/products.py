"""Matrix products of linear layers, by the quickest of torch's libraries."""

import time
from functools import cache

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from tvtsv2_mm.utils.processor import processor

from .dispatch import is_for_cpu


def product(a: Tensor, b: Tensor, bias: Tensor | None = None, scale: float = 1.0) -> Tensor:
    """scale * a @ b + bias of matrices and a vector of one dtype, without a graph of its own."""
    if is_for_cpu(a):
        if _is_for_onednn(a.dtype, bias is not None):
            if torch.compiler.is_compiling():
                return _opaque_onednn_product(a, b, bias, scale)
            return _onednn_product(a, b, bias, scale)
    elif scale != 1 and torch.compiler.is_compiling():
        # Inductor takes addmm apart for GPUs, and then loses the factor (torch 2.7), or what it has
        # not to read (2.11 in float32). It does this together with what comes next.
        out = scale * (a @ b)
        return out if bias is None else out + bias
    if bias is not None:
        return torch.addmm(bias, a, b, alpha=scale)
    if scale != 1:
        return torch.addmm(a.new_empty(1), a, b, alpha=scale, beta=0)
    return a @ b


def slowdown(dtype: torch.dtype) -> float:
    """How many times as long as in float32 this CPU takes for products in another dtype.

    Measured, in a twentieth of a second: what a CPU lists says little. Intel's with AVX512_BF16,
    but without AMX or with it switched off, take twice as long (docs/performance.md).
    """
    seconds = dict.fromkeys((torch.float32, dtype), float('inf'))
    matrices = {kind: (torch.ones(256, 768, dtype=kind), torch.ones(768, 768, dtype=kind))
                for kind in seconds}
    for _ in range(6):
        for kind, (a, b) in matrices.items():
            start = time.perf_counter()
            product(a, b)
            seconds[kind] = min(seconds[kind], time.perf_counter() - start)
    return seconds[dtype] / seconds[torch.float32]


@torch.compiler.assume_constant_result
def _is_for_onednn(dtype: torch.dtype, with_bias: bool) -> bool:
    """Whether torch's operator for layers of oneDNN is quicker than mm and addmm on a CPU.

    In bfloat16 these go to oneDNN as well, but addmm writes the bias before the product, where
    oneDNN adds it to results that are still in the cache. In float32 they go to MKL, which takes up
    to twice as long on AMD's CPUs with AVX-512; on those without, and on Intel's, it is the quicker
    one (docs/performance.md).
    """
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return False
    if dtype == torch.bfloat16:
        return with_bias and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32 and _is_amd_with_avx512()


@cache
def _is_amd_with_avx512() -> bool:
    # torch.cpu.get_capabilities, which knows the vendor, is newer than the lowest torch asked for.
    return (processor()[0] == 'AuthenticAMD'
            and torch.backends.cpu.get_cpu_capability().startswith('AVX512'))


def _onednn_product(a: Tensor, b: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    # The operator has no factor: it goes to the smaller of b and the result, but not to the bias.
    scales_b = scale != 1 and (bias is not None or len(b) <= len(a))
    if scales_b:
        b = scale * b
    out = torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, 'none', [], '')
    return out if scales_b or scale == 1 else out.mul_(scale)


# Inductor takes the operator for one of its own, whose weights it has packed.
_opaque_onednn_product = torch.library.custom_op(
    'tvtsv2_mm::onednn_product', _onednn_product, mutates_args=())


@_opaque_onednn_product.register_fake
def _shape_of_product(a: Tensor, b: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    # Not len(a): that is a plain number, for which Dynamo would compile again for each batch size.
    return a.new_empty(a.shape[0], b.shape[1])


if torch.backends.mkldnn.is_available():

    @register_flop_formula(torch.ops.mkldnn._linear_pointwise)
    def _onednn_flop(a_shape: torch.Size, weight_shape: torch.Size, *_: object,
                     **__: object) -> int:
        """For torch.utils.flop_counter, as it counts mm."""
        return 2 * a_shape.numel() * weight_shape[0]
