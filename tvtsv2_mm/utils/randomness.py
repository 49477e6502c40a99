"""The global generators of random numbers."""

import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# Not the tensors' own: trunc_normal_ draws until it has what fits. By name: while transformers
# builds a model, torch's module has functions of its own there.
_DRAWS = {'uniform_', 'normal_', 'kaiming_uniform_', 'kaiming_normal_'}
_MODULES = {nn.init.__name__, 'transformers.initialization'}


class without_drawing(TorchFunctionMode):
    """Modules that are built within get memory for their weights, and no random values.

    For those whose weights are loaded next: drawing them takes a B/16 a second or two.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        """Do what is asked, but for the most common draws."""
        kwargs = kwargs or {}
        if getattr(func, '__module__', None) in _MODULES and func.__name__ in _DRAWS:
            return args[0] if args else kwargs['tensor']
        return func(*args, **kwargs)


@contextmanager
def generators_kept(*, device: bool = False) -> Generator[None]:
    """Whatever is drawn within: behind it Python's, numpy's and torch's generators are as before.

    Args:
        device: that of the current GPU as well, where there is one. A forked process must not ask.
    """
    devices = [torch.cuda.current_device()] if device and torch.cuda.is_available() else []
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
