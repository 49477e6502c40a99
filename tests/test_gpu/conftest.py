"""Tests of what may differ on a GPU. Each runs on the CPU too, so that its code is known to work.

``pytest -m gpu`` runs them on a GPU. They need no decoder and no network (tools/gpu_check.sh).
"""

import logging
import os
from types import SimpleNamespace

import pytest
import torch

from tvtsv2_mm.engine.hooks import CompileBlocksHook

# Of the test with deterministic algorithms; torch looks for it once in a process.
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=[pytest.mark.gpu, NO_GPU])])
def device(request, monkeypatch) -> str:
    """Where it runs, with a GPU's ways on a CPU too, and what mmengine takes for this machine's."""
    monkeypatch.setattr('tvtsv2_mm.models.layers.cpu.dispatch._is_exporting', lambda: True)
    monkeypatch.setattr('mmengine.device.utils.DEVICE', request.param)
    torch.set_float32_matmul_precision('highest')  # no TF32, as is the default
    return request.param


@pytest.fixture
def compile_blocks(device):
    """By the hook: to code on a GPU, on a CPU to traced operations."""
    torch._dynamo.reset()

    def compile_blocks(model):
        backend = dict(cpu='aot_eager', cuda='inductor')[device]
        CompileBlocksHook(backend=backend).before_run(
            SimpleNamespace(model=model, logger=logging.getLogger('test')))

    return compile_blocks
