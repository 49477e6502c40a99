"""gpu_check.sh with a Python that only writes down what it is asked; its steps run in test_gpu."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = ['install', 'environment', 'tests', 'goal-b16', 'goal-h14', 'einsum-h14', 'ab-b16']
PYTHON = """#!/bin/bash
echo "$*" >> "$CALLS"
echo table of "$2"; echo warning >&2
while [ $# -gt 0 ]; do
    case $1 in --out | --junitxml) touch "$2" ;; esac
    [ "$1" = "${FAILING:-}" ] && exit 3
    [ "$1" = "${KILLED:-}" ] && kill -KILL $PPID
    shift
done
"""


@pytest.fixture
def run(tmp_path):
    """Run the script; return its exit status, last line, calls of Python and summary."""
    program = tmp_path / 'bin' / 'python3'
    program.parent.mkdir()
    program.write_text(PYTHON)
    program.chmod(0o755)
    (tmp_path / 'wheels').mkdir()

    def call(*words, **settings):
        calls, summary = tmp_path / 'calls', tmp_path / 'out' / 'summary.txt'
        calls.write_text('')
        done = subprocess.run(
            ['bash', ROOT / 'tools' / 'gpu_check.sh', *words], cwd=tmp_path, text=True,
            env=dict(os.environ, PATH=f'{program.parent}:/usr/bin:/bin', CALLS=str(calls),
                     **settings), capture_output=True, check=False)
        return (done.returncode, done.stdout.splitlines()[-1], calls.read_text().splitlines(),
                summary.read_text() if summary.exists() else '')

    return call


@pytest.mark.parametrize('words', [(), ('--rehearse', )])
def test_all_steps(run, tmp_path, words):
    status, last_line, calls, summary = run(*words, 'out', 'wheels')
    assert (status, last_line) == (0, 'PASSED: all steps')
    assert [line.split(':')[0][3:] for line in summary.splitlines() if line[:2] == '--'] == STEPS
    assert len(calls) == len(STEPS)
    assert '--no-index' in calls[0] and calls[1] == '-m tvtsv2_mm.env'
    assert all(('--device cuda' in call) is not bool(words) for call in calls[3:])
    assert all(('--sizes tiny' in call) is bool(words) for call in calls[3:])
    assert ('-m gpu' in calls[2]) is not bool(words)
    assert 'table of tvtsv2_mm.env' in summary and 'warning' not in summary
    names = {path.name for path in (tmp_path / 'out').iterdir()}
    assert names == {'summary.txt', 'log.txt', 'tests.xml', *(f'{name}.json' for name in STEPS[3:])}
    assert len(names) <= 8


@pytest.mark.parametrize(('settings', 'failed', 'told'), [
    (dict(FAILING='pytest'), 'tests', 'tests: failed with 3'),
    (dict(FAILING='b16'), 'goal-b16 ab-b16', 'goal-b16: failed with 3'),
    (dict(KILLED='pip'), 'install', 'install: stopped after'),
])
def test_a_step_that_fails_does_not_stop_the_others(run, settings, failed, told):
    status, last_line, calls, summary = run('out', 'wheels', **settings)
    assert (status, last_line) == (1, f'FAILED: {failed}')
    assert len(calls) == len(STEPS)
    assert told in summary


def test_where_nothing_is_to_be_installed(run):
    status, _, calls, _ = run('out')
    assert status == 0 and len(calls) == len(STEPS) - 1


def test_what_is_packed(run):
    status, _, [call], _ = run('pack', 'wheels')
    assert status == 0
    assert '--no-deps' in call and 'mmaction2' in call and 'torch' not in call.split()


def test_help(run):
    status, last_line, calls, _ = run()
    assert (status, calls) == (2, [])
    assert last_line == 'step failed, or there was no time for it.'
