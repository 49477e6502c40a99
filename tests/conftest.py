"""The mends come first: libraries that a test imports itself (open_clip, torchvision) need them."""

import builtins

import pytest

import tvtsv2_mm  # noqa: F401


@pytest.fixture(autouse=True)
def own_print(monkeypatch):
    """Give back ``print`` after a test: Ray puts its own in place for the life of the process."""
    monkeypatch.setattr(builtins, 'print', builtins.print)
