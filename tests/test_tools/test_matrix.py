"""tools/matrix.py with a uv and Pythons that only write down what they are asked."""

import json
import os
import runpy
import shutil
import subprocess
import sys

import pytest

from tests.tiny_model import ROOT

MATRIX = runpy.run_path(str(ROOT / 'tools/matrix.py'))
UV = """#!/bin/bash
echo "$* | $UV_FIND_LINKS | $PYTHONPATH" >> "$CALLS"
case "$*" in
    "python find"*) [[ "$*" != *"${MISSING:-none}" ]] ;;
    venv*) folder=$(grep -o '[^ ]*/.matrix/[a-z]*' <<< "$*"); mkdir -p "$folder/bin"
           cp "$CALLS.python" "$folder/bin/python" ;;
    *freeze*) printf '%s\\n' av==14.0.0 '-e file:///here' numpy==1.26.0 opencv-python==5.0 \
                     torch==2.7.0+cpu ;;
    "pip install"*) [[ "$*" != *"${UNFIT:-none}"* ]] ;;
esac
"""
PYTHON = """#!/bin/bash
[ "$1" = --version ] && echo Python 3.10.99 && exit
echo "$*" >> "$CALLS"
for word; do [[ $word == --junitxml=* ]] && report=${word#*=}; done
[ -n "$REPORT" ] && echo "$REPORT" > "$report"
exit "${PYTEST:-0}"
"""
CASE = '<testcase classname="tests.test_a" name="test_b{}">{}</testcase>'
GOOD = f'<testsuite>{CASE.format(1, "")}{CASE.format(2, "<skipped/>")}</testsuite>'
BAD = (f'<testsuite>{CASE.format(1, "")}{CASE.format(2, "<failure/>")}'
       '<testcase classname="" name="tests.test_c"><error/></testcase></testsuite>')


@pytest.fixture
def run(tmp_path):
    """Run the tool in a checkout of its own; its exit status, what it prints, and all calls."""
    for name in ('tools', 'requirements'):
        shutil.copytree(ROOT / name, tmp_path / 'checkout' / name,
                        ignore=shutil.ignore_patterns('tried'))
    calls = tmp_path / 'calls'
    (tmp_path / 'bin').mkdir()
    python = tmp_path / 'bin' / 'python'
    python.symlink_to(sys.executable)
    for file, source in ((python.with_name('uv'), UV), (tmp_path / 'calls.python', PYTHON)):
        file.write_text(source)
        file.chmod(0o755)

    def call(*words, **variables):
        calls.write_text('')
        around = {name: value for name, value in os.environ.items() if not name.startswith('UV_')}
        done = subprocess.run(
            [python, tmp_path / 'checkout/tools/matrix.py', *words], cwd=tmp_path, text=True,
            env=around | dict(CALLS=str(calls), REPORT=GOOD, PYTHONPATH='mine') | variables,
            capture_output=True, check=False)
        return done.returncode, done.stdout + done.stderr, calls.read_text()

    return call


def test_an_environment_is_made_and_tested(run, tmp_path):
    status, told, calls = run('lowest', PIP_FIND_LINKS='wheels more')
    assert status == 0, told
    assert ('| lowest | 3.10.99 | 2.7.0+cpu | 1.26.0 |  | 14.0.0 | opencv-python 5.0 | 1 | 0 | 1 |'
            in told)
    resolved, rest, own = (line for line in calls.splitlines() if line.startswith('pip install'))
    assert '--resolution lowest-direct' in resolved and ' -r requirements/runtime.txt ' in resolved
    assert 'lowest' not in rest.replace('.matrix/lowest', '') and 'requirements/tests.txt' in rest
    assert '-e .' in own
    assert "not slow" in calls
    assert all(line.endswith('| wheels,more | ') for line in calls.splitlines() if '|' in line)
    left_out = (tmp_path / 'checkout/.matrix/lowest/left-out.txt').read_text().splitlines()
    assert len(left_out) == 3 and 'opencv-python; python_version < "3"' in left_out
    assert not (tmp_path / 'checkout/requirements/tried').exists()


def test_full_mmcv_is_built_from_its_source(run, tmp_path):
    status, told, calls = run('mmcv')
    assert status == 0, told
    folder = tmp_path / 'checkout/.matrix/mmcv'
    assert (folder / 'build.txt').read_text() == 'setuptools<81'
    assert f'--build-constraints {folder}/build.txt' in calls
    assert 'mmcv-lite; python_version < "3"' in (folder / 'left-out.txt').read_text()


def test_what_failed_is_told_and_recorded(run, tmp_path):
    status, told, calls = run('--record', 'lowest', 'newest', REPORT=BAD, PYTEST='1')
    assert status == 1
    assert calls.splitlines().count('tools/docs/blocks.py') == 2
    assert 'lowest: FAILED tests.test_a::test_b2\nlowest: FAILED tests.test_c\nnewest: ' in told
    first, second, *lines = (
        tmp_path / 'checkout/requirements/tried/lowest.txt').read_text().splitlines()
    assert first.startswith('# The column lowest')
    result = json.loads(second.removeprefix('# '))
    assert (result['passed'], result['failed']) == (1, ['tests.test_a::test_b2', 'tests.test_c'])
    assert lines == ['av==14.0.0', 'numpy==1.26.0', 'opencv-python==5.0', 'torch==2.7.0+cpu']
    block = runpy.run_path(str(tmp_path / 'checkout/tools/matrix.py'))['block']()
    rows = block.splitlines()[2:]
    assert rows[0].startswith('| lowest | 3.10.99 | 2.7.0+cpu | ')
    assert '| 1 | 2 | 0 | 0 | 20' in rows[0]
    assert rows[1].startswith('| pinned | 3.11: not run |')


def test_a_python_that_is_missing_is_told(run):
    status, told, _ = run('lowest', 'middle', MISSING='3.10')
    assert status == 3
    assert told.endswith('NOT RUN: lowest (no Python 3.10)\n')
    assert '| lowest | 3.10: not run |' in told and '| middle | 3.10.99 |' in told
    assert run('lowest', 'middle', MISSING='3.10', PYTEST='2')[0] == 1


@pytest.mark.parametrize(('variables', 'reason'), [
    (dict(UNFIT='lowest-direct'), 'the environment cannot be made'),
    (dict(PYTEST='4', REPORT=''), 'pytest ended with status 4'),
])
def test_what_ends_before_the_tests_is_a_failure(run, variables, reason):
    status, told, _ = run('lowest', **variables)
    assert status == 1
    assert told.endswith(f'lowest: FAILED {reason}\n')


def test_arguments_of_pytest(run):
    assert ' -k some\n' in run('newest', '--', '-k', 'some')[2]
    for words in (['no-such'], ['--record', '--', '-k', 'some']):
        assert run(*words)[0] == 2


@pytest.mark.parametrize('path', sorted((ROOT / 'requirements/tried').glob('*')),
                         ids=lambda path: path.name)
def test_records_have_one_form(path):
    """And of columns that there are; all of them are in the table of docs/installation.md."""
    assert path.stem in MATRIX['COLUMNS']
    result = MATRIX['read_record'](path.stem)
    assert [*result] == ['date', 'python', 'passed', 'failed', 'skipped', 'seconds', 'packages']
    assert result['python'].startswith(MATRIX['COLUMNS'][path.stem].python)
    assert {'torch', 'numpy', 'transformers', 'av', 'pytest'} <= {*result['packages']}
    assert '://' not in path.read_text() and ' /' not in path.read_text()
