import runpy
import sys
from pathlib import Path

import pytest
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Call a tool as a command line would; return the Runner that it made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    runners = []
    init = Runner.__init__
    monkeypatch.setattr(Runner, '__init__', lambda runner, *args, **kwargs: runners.append(runner)
                        or init(runner, *args, **kwargs))

    def call(tool, *words):
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *map(str, words)])
        runpy.run_path(str(ROOT / 'tools' / f'{tool}.py'), run_name='__main__')
        return runners[-1]

    return call
