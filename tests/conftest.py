"""The mends come first: libraries that a test imports itself (open_clip, torchvision) need them."""

import builtins
import gc
import os
import zlib
from collections import Counter
from functools import lru_cache

import pytest
import setuptools  # noqa: F401  (before Python's own distutils, or inductor stops over it)
from mmengine.config import config
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from yapf.yapflib import yapf_api

import tvtsv2_mm  # noqa: F401
from tests.faults.record import LONG, RECORD

SLOW_SECONDS = 20  # see pyproject.toml

# A Runner lays out the text of its config six times, which is a third of the time of many a test.
_lay_out = lru_cache(64)(lambda text, style: config_format(text, style_config=dict(style)))
config_format = yapf_api.FormatCode
# mmengine has it from the start, onedl-mmengine fetches it each time.
config.FormatCode = yapf_api.FormatCode = lambda text, style_config: _lay_out(
    text, tuple(style_config.items()))


def pytest_addoption(parser):
    """Of tests/faults, whose own conftest.py would be read too late."""
    parser.addoption('--faults-long', action='store_true', help='many cases of each, for hours')
    parser.addoption('--faults-record', help='JSON file that gets what the faults did')


def pytest_configure(config):
    """In the environment: the processes of pytest-xdist get neither."""
    for option, variable in (('faults_long', LONG), ('faults_record', RECORD)):
        if config.getoption(option):
            os.environ[variable] = str(config.getoption(option))


def pytest_collection_finish():
    """mmengine's data sets collect garbage when they are made: not all modules each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Draw the same values in every run of a test, others with the variable TEST_SEED."""
    name = os.environ.get('TEST_SEED', '') + item.nodeid
    set_random_seed(zlib.crc32(name.encode()))


@pytest.fixture(autouse=True)
def own_print(monkeypatch):
    """Give back ``print`` after a test: Ray puts its own in place for the life of the process."""
    monkeypatch.setattr(builtins, 'print', builtins.print)


@pytest.fixture(autouse=True)
def own_scope():
    """Leave no default scope behind: it may be another package's."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: pytest-xdist deals out whole files, in this order."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter):
    """Name what is slow without being marked so."""
    seconds = Counter()
    for report in terminalreporter.getreports('passed') + terminalreporter.getreports('failed'):
        if 'slow' not in report.keywords:
            seconds[report.nodeid] += report.duration
    for name, spent in seconds.most_common():
        if spent > SLOW_SECONDS:
            terminalreporter.write_line(f'over {SLOW_SECONDS} s without the mark slow: '
                                        f'{name} ({spent:.0f} s)', yellow=True)
