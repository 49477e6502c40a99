"""Hear what a module within a model of others returns."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def listening(module: nn.Module) -> Generator[list[Any]]:
    """Give a list to which all is appended that a module returns meanwhile."""
    heard: list[Any] = []
    handle = module.register_forward_hook(lambda module, inputs, output: heard.append(output))
    try:
        yield heard
    finally:
        handle.remove()
