"""A training step waits for nothing on the device, and leaves nothing there."""

import gc
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.test_engine.test_strategies.random_parts import RandomClipsOfStrategyTest
from tests.test_models.conftest import SIZES
from tests.test_models.test_micro_batches import LiveBytes
from tvtsv2_mm.engine.optimizers import BFloat16OptimWrapper
from tvtsv2_mm.models import VideoTextModel

SIZES_OF_VALUES = (torch.ops.aten.nonzero.default, torch.ops.aten.masked_select.default)


class NoValueRead(TorchDispatchMode):
    """On a CPU, what would wait for a GPU: Python reads a value, or a size depends on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        reads = torch.Tag.data_dependent_output in func.tags or func in SIZES_OF_VALUES
        assert not reads, func
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting(device: str):
    if device == 'cpu':
        with NoValueRead():
            yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


@contextmanager
def memory(device: str):
    """Gives a function that says how many bytes are taken of it."""
    def taken() -> int:
        gc.collect()
        return torch.cuda.memory_allocated() if device == 'cuda' else live.now()

    with LiveBytes([]) if device == 'cpu' else nullcontext() as live:
        yield taken


@pytest.fixture(params=['', 'micro_batches', 'compile'])
def step(request, device, compile_blocks, monkeypatch):
    """One step of training on a batch of uint8 clips in pinned memory, as the loader gives it."""
    cfg = dict(SIZES, data_preprocessor=dict(type='VideoTextDataPreprocessor', non_blocking=True))
    model = VideoTextModel(**cfg, micro_batch_size=2 if request.param == 'micro_batches' else None)
    model.to(device).train()
    if request.param == 'compile':
        compile_blocks(model)
    wrapper = BFloat16OptimWrapper(torch.optim.AdamW(
        [own for own in model.parameters() if own.requires_grad], fused=True))
    samples = [RandomClipsOfStrategyTest(4, 3)[i] for i in range(4)]
    inputs = {key: [own['inputs'][key] for own in samples] for key in samples[0]['inputs']}
    if device == 'cpu':  # where the texts always are when it looks at them
        monkeypatch.setattr(model.data_preprocessor, 'longest_text', lambda tokens: 9)
    else:
        inputs = {key: [own.pin_memory() for own in value] for key, value in inputs.items()}
    batch = dict(inputs=inputs, data_samples=[own['data_samples'] for own in samples])
    return lambda: model.train_step(batch, wrapper)


def test_waits_for_nothing(device, step):
    step()  # compiles, makes the optimiser's state
    with no_waiting(device):
        losses = step()
    assert set(losses) == {'loss', 'loss_contrastive', 'loss_sorting', 'acc_sorting'}
    assert torch.stack([*losses.values()]).isfinite().all()
    with pytest.raises((AssertionError, RuntimeError)), no_waiting(device):
        losses['loss'].item()


def test_leaves_nothing(device, step):
    with memory(device) as taken:
        step()
        before = taken()
        losses = step()
        assert taken() > before
        del losses
        assert taken() == before
