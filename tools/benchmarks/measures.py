"""How the benchmarks measure: seconds in turns, kept bytes, peaks, differences."""

import ctypes
import gc
import math
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from results import show_progress
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


Forward = Callable[[Batch], Sequence[Tensor]]
Key = TypeVar('Key')


def measure_seconds(steps: Mapping[Key, Callable[[], object]],
                    rounds: int) -> dict[Key, dict[str, float]]:
    """Seconds of each step; the steps take turns, after a round that warms up.

    By the end of a field's name: the quickest round, the '_median', and the least '_cpu' time of
    this process. A step that fails is missing: it did not fit, or has no kernel for the sizes.
    """
    spent: dict[Key, tuple[list[float], list[float]]] = {key: ([], []) for key in steps}
    for turn in range(-1, rounds):
        for key in list(spent):
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                steps[key]()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
            except RuntimeError as error:
                show_progress(f'left out: {key}: {error}'[:500])
                del spent[key]
                continue
            if turn >= 0:
                spent[key][0].append(time.perf_counter() - wall)
                spent[key][1].append(time.process_time() - cpu)
        show_progress(f'round {turn + 1} of {rounds}')
    return {key: {'': min(wall), '_median': statistics.median(wall), '_cpu': min(cpu)}
            for key, (wall, cpu) in spent.items()}


def live_bytes(forward: Forward, batch: Batch) -> tuple[int, int]:
    """Bytes that a forward pass leaves allocated, outputs included: of each clip, and of none."""
    fewer, more = (_kept_bytes(forward, batch.first(clips))
                   for clips in (KEPT_CLIPS, KEPT_CLIPS + 1))
    return more - fewer, fewer - KEPT_CLIPS * (more - fewer)


def _kept_bytes(forward: Forward, batch: Batch) -> int:
    """Of all clips. The profiler of torch 2.7 misses a free now and then: the least of several."""
    found = []
    for _ in range(5):
        gc.collect()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            outputs = forward(batch)
        del outputs
        found.append(sum(event.self_cpu_memory_usage for event in profiled.events() or ()))
    return min(found)


def peak_megabytes(call: Callable[[], object]) -> float:
    """What a call that ran before needs at the most, above this process at rest (Linux)."""
    gc.collect()
    # Freed memory that the allocator still holds would hide a part of the peak.
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    call()
    status = Path('/proc/self/status').read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))
    return (peak - pages * resource.getpagesize()) / 1e6


def outputs_and_gradients(forward: Forward, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Embeddings, tokens, a loss made of both, and its gradients by parameter name."""
    embeds, tokens = forward(batch)
    loss = embeds.float().square().mean() + tokens.float().square().mean()
    parameters = dict(module.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    return dict(
        embeddings=embeds.detach(), tokens=tokens.detach(), loss=loss.detach(),
        **{f'gradient of {name}': gradient
           for name, gradient in zip(parameters, gradients, strict=True)})


def largest_difference(found: Mapping[str, Tensor],
                       expected: Mapping[str, Tensor]) -> tuple[str, float]:
    """In which tensor the two differ most, and by which share of its largest entry."""
    shares = {
        name: ((found[name].double() - tensor.double()).abs().max()
               / tensor.double().abs().max()).item() for name, tensor in expected.items()}
    # What is not a number is the worst.
    return max(shares.items(), key=lambda item: (math.isnan(item[1]), item[1]))
