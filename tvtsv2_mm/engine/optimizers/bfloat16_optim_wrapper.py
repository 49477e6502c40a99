"""Mixed precision in bfloat16, on a CPU too."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from tvtsv2_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Run the forward pass under autocast to bfloat16; weights and optimiser stay in float32.

    bfloat16 has float32's range, so there is no loss to scale and nothing more in a checkpoint
    than with a plain ``OptimWrapper``: a run may change between the two. mmengine's
    ``AmpOptimWrapper`` refuses to work without a GPU; this one works on either.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Generator[None]:
        """Add autocast to the context of gradient accumulation."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
