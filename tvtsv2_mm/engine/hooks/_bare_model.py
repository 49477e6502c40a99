"""The model of a run without what distributes it."""

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner


def bare_model(runner: Runner) -> Any:
    """The model itself, which DDP and the like wrap."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
