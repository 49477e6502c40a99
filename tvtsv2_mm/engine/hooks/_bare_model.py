"""The model of a run without what distributes it."""

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def bare_model(runner: Runner) -> nn.Module:
    """The model itself, which DDP and the like wrap."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
