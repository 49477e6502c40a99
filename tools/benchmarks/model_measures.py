"""How tools/benchmarks/model.py measures: seconds in turns, kept bytes, peaks, differences."""

import ctypes
import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from common import peak_above_rest
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

# Bytes a clip are the difference of one clip more; a single clip lets some copies be views.
KEPT_CLIPS = 2


@dataclass(frozen=True)
class Batch:
    """Clips (B, T, 3, H, W) and the patches that their tube masks keep (B, P'), or None."""

    video: Tensor
    kept_patches: Tensor | None

    def first(self, clips: int) -> 'Batch':
        """A part of it, in the same storage."""
        kept = self.kept_patches
        return Batch(self.video[:clips], None if kept is None else kept[:clips])


class OutOfMemory(Exception):
    """The device is too small for a step."""


def attempt(call: Callable[[], Any], device: torch.device) -> Any:
    """Call, and wait for the device.

    Raises:
        OutOfMemory: without the frames of the call, whose tensors it would keep alive.
    """
    try:
        result = call()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        return result
    except torch.OutOfMemoryError:
        pass
    gc.collect()
    torch.cuda.empty_cache()
    raise OutOfMemory


@dataclass(frozen=True)
class Seconds:
    """Of a step in each round: by the clock, and CPU time of all threads of this process."""

    wall: list[float]
    cpu: list[float]


def measure_seconds(steps: Mapping[Any, Callable[[], object]], rounds: int, device: torch.device,
                    progress: Callable[[str], None]) -> dict[Any, Seconds]:
    """Seconds of each step in each round; the steps take turns, after a round that warms up.

    A step that does not fit into the memory of the device is missing.
    """
    seconds = {key: Seconds([], []) for key in steps}
    for turn in range(-1, rounds):
        for key in list(seconds):
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                attempt(steps[key], device)
            except OutOfMemory:
                del seconds[key]
                continue
            if turn >= 0:
                seconds[key].wall.append(time.perf_counter() - wall)
                seconds[key].cpu.append(time.process_time() - cpu)
        progress(f'round {turn + 1} of {rounds}')
    return seconds


# What operations of a profile belong to, by their names without 'aten::'.
OPERATIONS = {
    'linear products': ('mm', 'addmm', 'mkldnn::_linear_pointwise'),
    'attention products': ('bmm', 'baddbmm', '_scaled_dot_product_flash_attention',
                           '_scaled_dot_product_efficient_attention',
                           '_scaled_dot_product_flash_attention_for_cpu'),
    'softmax': ('_softmax', '_softmax_backward_data', 'exp'),
    'norms': ('native_layer_norm', 'native_layer_norm_backward'),
    'activations': ('silu', 'silu_', 'silu_backward', 'gelu', 'gelu_', 'gelu_backward'),
    'copies and casts': ('copy_', 'cat', 'fill_', 'zero_', 'index'),
    'sums and additions': ('add', 'add_', 'sum', 'mul', 'mul_'),
}


def profile_step(step: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Seconds of one step by the kind of operation, those of all threads or of the GPU."""
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * (device.type == 'cuda')]
    step()
    with profile(activities=activities) as profiled:
        attempt(step, device)
    seconds = dict.fromkeys([*OPERATIONS, 'other'], 0.0)
    kinds = {name: kind for kind, names in OPERATIONS.items() for name in names}
    for event in profiled.key_averages():
        own = (event.self_device_time_total if device.type == 'cuda'
               else event.self_cpu_time_total)
        seconds[kinds.get(event.key.removeprefix('aten::'), 'other')] += own * 1e-6
    return seconds


def saved_bytes(forward: Callable[[Batch], Sequence[Tensor]], batch: Batch,
                parameters: Iterable[Tensor]) -> int:
    """Bytes of the storages that autograd saves, without parameters and inputs.

    A storage counts once and as a whole, however many views of it are saved. What a checkpointed
    part keeps does not pass the hooks: see :func:`live_bytes`.
    """
    given = [*parameters, batch.video]
    if batch.kept_patches is not None:
        given.append(batch.kept_patches)
    known = {tensor.untyped_storage().data_ptr() for tensor in given}
    storages = {}  # holds them, so that no address comes twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            storages[storage.data_ptr()] = storage
        return tensor.detach()  # an output that is saved as it is would hold its own graph for ever

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward(batch)
    return sum(storage.nbytes() for storage in storages.values())


def live_bytes(forward: Callable[[Batch], Sequence[Tensor]], batch: Batch) -> int:
    """Bytes that are allocated after the forward pass and were not before, outputs included."""
    gc.collect()
    if batch.video.is_cuda:
        before = torch.cuda.memory_allocated()
        outputs = forward(batch)
        after = torch.cuda.memory_allocated()
        del outputs
        return after - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        outputs = forward(batch)
    del outputs
    return sum(event.self_cpu_memory_usage for event in profiled.events())


def per_clip(count: Callable[[Batch], int], batch: Batch) -> tuple[int, int]:
    """Bytes that each clip adds, and those that do not depend on the number of clips."""
    fewer, more = count(batch.first(KEPT_CLIPS)), count(batch.first(KEPT_CLIPS + 1))
    return more - fewer, fewer - KEPT_CLIPS * (more - fewer)


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """Bytes that a call that ran before needs at the most, above the rest between calls."""
    gc.collect()
    if device.type == 'cuda':
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        attempt(call, device)
        return torch.cuda.max_memory_allocated(device) - before
    # Freed memory that the allocator still holds would hide a part of the peak.
    ctypes.CDLL(None).malloc_trim(0)
    return peak_above_rest(call)


def outputs_and_gradients(forward: Callable[[Batch], Sequence[Tensor]], module: nn.Module,
                          batch: Batch) -> dict[str, Tensor]:
    """Embeddings, tokens, a loss made of both, and its gradients by parameter name."""
    embeds, tokens = forward(batch)
    loss = embeds.float().square().mean() + tokens.float().square().mean()
    parameters = dict(module.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    return dict(
        embeddings=embeds.detach(), tokens=tokens.detach(), loss=loss.detach(),
        **{f'gradient of {name}': gradient
           for name, gradient in zip(parameters, gradients, strict=True)})


def largest_differences(found: Mapping[str, Tensor],
                        expected: Mapping[str, Tensor]) -> dict[str, float]:
    """The largest difference in each tensor as a share of its largest entry, worst first.

    Raises:
        ValueError: the two do not hold the same tensors.
    """
    if found.keys() != expected.keys():
        raise ValueError(f'only one has {", ".join(sorted(found.keys() ^ expected.keys()))}')
    shares = {
        name: ((found[name].double() - tensor.double()).abs().max()
               / tensor.double().abs().max()).item() for name, tensor in expected.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def check_equal(differences: Mapping[str, float], tolerance: float) -> None:
    """Compare the worst of :func:`largest_differences`.

    Raises:
        ValueError: it is above the tolerance, or not a number.
    """
    unequal = {name: share for name, share in differences.items() if not share <= tolerance}
    if unequal:
        shown = ', '.join(f'{name} {share:.1e}' for name, share in list(unequal.items())[:3])
        raise ValueError(
            f'not equal to the plain form: {len(unequal)} of {len(differences)} tensors differ by '
            f'more than {tolerance:g} of their largest entry: {shown}')
