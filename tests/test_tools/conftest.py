import runpy
import sys
from pathlib import Path

import pytest
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[2]


def _call(patch, tool, *words):
    """Call a tool as a command line would; return the Runner that it made last, if any."""
    runners = []
    init = Runner.__init__
    patch.setenv('LOCAL_RANK', '0')
    patch.setattr(sys, 'argv', [f'{tool}.py', *map(str, words)])
    with pytest.MonkeyPatch.context() as inner:
        inner.setattr(Runner, '__init__', lambda runner, *args, **kwargs: runners.append(runner)
                      or init(runner, *args, **kwargs))
        runpy.run_path(str(ROOT / 'tools' / f'{tool}.py'), run_name='__main__')
    return runners[-1] if runners else None


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Call a tool as a command line would, in tmp_path; return the Runner that it made."""
    monkeypatch.chdir(tmp_path)
    return lambda tool, *words: _call(monkeypatch, tool, *words)


@pytest.fixture(scope='module')
def run_once():
    """The same for what the tests of a module share: called as call(folder, tool, *words)."""
    def call(folder, tool, *words):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            return _call(patch, tool, *words)

    return call
