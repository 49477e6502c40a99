"""The layers of pyproject.toml, and that what breaks them is seen."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINT = 'import importlinter.cli as cli; cli.lint_imports_command(["--no-cache", "--no-logo"])'


def lint(folder):
    """Check the package in ``folder``; return whether its layers hold, and what is told."""
    done = subprocess.run([sys.executable, '-c', LINT], cwd=folder, text=True,
                          capture_output=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope='module')
def copied(tmp_path_factory):
    folder = tmp_path_factory.mktemp('copied')
    shutil.copytree(ROOT / 'tvtsv2_mm', folder / 'tvtsv2_mm',
                    ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    shutil.copy(ROOT / 'pyproject.toml', folder)
    return folder


def test_imports_run_one_way():
    kept, told = lint(ROOT)
    assert kept, told


@pytest.mark.parametrize(('module', 'imported'), [
    ('engine/hooks/intruder.py', 'preparation'),
    ('preparation/converters/intruder.py', 'apis.launch'),
    ('models/intruder.py', 'datasets.transforms'),
    ('models/heads/intruder.py', 'evaluation.probes'),
    ('datasets/intruder.py', 'models'),
    ('video/intruder.py', 'datasets'),
    ('apis/intruder.py', 'experiments'),
    ('utils/intruder.py', 'experiments.quickstart'),
    ('newroom.py', 'utils'),
])
def test_an_import_against_the_way_is_seen(copied, module, imported):
    """In a function too, and of a room that the layers do not name."""
    intruder = copied / 'tvtsv2_mm' / module
    intruder.write_text(f'def f():\n    import tvtsv2_mm.{imported}\n')
    kept, told = lint(copied)
    intruder.unlink()
    assert not kept
    assert 'intruder' in told or 'newroom' in told
