"""The global generators of random numbers."""

import random
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch


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
