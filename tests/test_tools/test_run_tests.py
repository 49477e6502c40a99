"""run_tests.sh, quickstart.sh and .ci/run, with a Python that only writes down what it is asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests.conftest import pytest_collection_modifyitems, pytest_terminal_summary

ROOT = Path(__file__).resolve().parents[2]

PYTHON = """#!/bin/bash
case "$*" in
    *"version_info[:2]"*) exit "${UNPINNED:-0}" ;;
    *version_info*) exit "${UNSUPPORTED:-0}" ;;
    *sys.prefix*) echo "$PREFIX"; exit ;;
    --version) echo "Python 3.x"; exit ;;
esac
printf '%s\\n' "$*" >> "$PREFIX/calls"
case "$*" in
    *"import torchvision") [ -e "$PREFIX/fits" ]; exit ;;
    *'version("torchvision")'*) echo torchvision==1.0+cpu; exit ;;
    *torchvision==1.0+cpu) [ -z "${FITS:-}" ] && exit 1; touch "$PREFIX/fits"; exit ;;
    "-m venv "*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
    *tools/install.py*) [ -z "${PIP:-}" ] || { echo 'error: told' >&2; exit 1; } ;;
    "tools/matrix.py "*) exit "${MATRIX:-0}" ;;
    "-m pytest"*) exit "${PYTEST:-0}" ;;
esac
"""
CHECK = """#!/bin/bash
cat > /dev/null
set -- "${0##*/}" "$@"
echo "$*" >> "$PREFIX/calls"
[[ " ${FAILING:-} " != *" $1 "* ]]
"""
HOOKS = [hook for repo in yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
         for hook in repo['hooks']]
CHECKS = [hook['entry'] for hook in HOOKS]


@pytest.fixture
def checkout(tmp_path):
    """A folder with a blank in its name, and the parts of a checkout that the scripts read."""
    folder = tmp_path / 'check out'
    for name in ('tools', 'configs', 'requirements', '.ci'):
        shutil.copytree(ROOT / name, folder / name)
    for name in ('setup.py', 'pyproject.toml', 'model-index.yml', '.pre-commit-config.yaml'):
        shutil.copy(ROOT / name, folder)
    pythons = ['python', 'python3', *(f'python3.{minor}' for minor in (10, 11, 12, 13))]
    programs = dict.fromkeys(pythons, PYTHON)
    programs.update({check.split()[0]: CHECK for check in CHECKS})
    for name, source in programs.items():
        program = tmp_path / 'bin' / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(source)
        program.chmod(0o755)
    return folder


@pytest.fixture
def run(checkout, tmp_path):
    """Run a script from another folder; return its exit status, last line and calls of Python."""

    def call(script, *words, **settings):
        calls = tmp_path / 'calls'
        calls.unlink(missing_ok=True)
        environment = dict(os.environ, PATH=f'{tmp_path}/bin:/usr/bin:/bin', PREFIX=str(tmp_path),
                           **settings)
        done = subprocess.run(['bash', checkout / script, *words], cwd=tmp_path, env=environment,
                              text=True, capture_output=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        call.told = '\n'.join(lines)
        return (done.returncode, lines[-1] if lines else '',
                calls.read_text().splitlines() if calls.exists() else [])

    return call


@pytest.mark.parametrize('hook', HOOKS, ids=lambda hook: hook['id'])
def test_pre_commit_runs_the_same_words_without_a_network(hook):
    """run_tests.sh reads `entry` lines, splits them at blanks, and adds nothing."""
    assert hook.items() >= dict(language='system', pass_filenames=False, always_run=True).items()
    assert not set(hook['entry']) & set('\'"\\*?[$\n') and 'args' not in hook


PARALLEL = '-m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder'


@pytest.mark.parametrize(('failing', 'status'), [('', 0), ('codespell', 1)])
def test_pre_commit_stops_at_what_run_tests_stops_at(checkout, tmp_path, failing, status):
    environment = dict(os.environ, PATH=f'{tmp_path}/bin:{os.environ["PATH"]}', FAILING=failing,
                       PREFIX=str(tmp_path), PRE_COMMIT_HOME=str(tmp_path / 'home'))
    for words in (['git', 'init', '-q'], ['git', 'add', '.pre-commit-config.yaml']):
        subprocess.run(words, cwd=checkout, env=environment, check=True)
    done = subprocess.run([sys.executable, '-m', 'pre_commit', 'run', '--all-files'], cwd=checkout,
                          env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert (tmp_path / 'calls').read_text().splitlines() == CHECKS


def test_first_and_second_run(run, checkout):
    script = 'tools/run_tests.sh'
    status, last_line, calls = run(script, '-k', 'a and b')
    assert (status, last_line) == (0, 'PASSED: all checks and all tests')
    assert calls[0] == f'-m venv {checkout}/.venv'
    assert (f'{checkout}/tools/install.py tests --pins '
            f'{checkout}/requirements/constraints.txt') in calls
    assert calls[-len(CHECKS) - 1:] == [*CHECKS, f'{PARALLEL} -k a and b']
    assert run(script) == (0, last_line, [*CHECKS, PARALLEL])


def test_the_pins_are_those_of_one_python(run, checkout):
    status, _, calls = run('tools/run_tests.sh', UNPINNED='1')
    assert status == 0 and f'{checkout}/tools/install.py tests' in calls


def test_what_is_slow_without_the_mark_is_named_at_the_end():
    def reports(name, *seconds, **keywords):
        return [SimpleNamespace(nodeid=name, duration=own, keywords=keywords) for own in seconds]

    lines, outcomes = [], dict(
        passed=[*reports('fast', 9, 9), *reports('in_two_phases', 11, 10),
                *reports('marked', 99, slow=1)],
        failed=reports('that_fails', 30))
    pytest_terminal_summary(SimpleNamespace(
        getreports=outcomes.get, write_line=lambda line, **_: lines.append(line)))
    assert lines == ['over 20 s without the mark slow: that_fails (30 s)',
                     'over 20 s without the mark slow: in_two_phases (21 s)']


def test_files_with_slow_tests_come_first():
    """pytest-xdist deals out whole files in this order."""
    items = [SimpleNamespace(path=path, get_closest_marker=lambda _, slow=slow: slow)
             for path, slow in (('a', None), ('b', None), ('b', True), ('c', None))]
    pytest_collection_modifyitems(items)
    assert [item.path for item in items] == ['b', 'b', 'a', 'c']


@pytest.mark.parametrize(('settings', 'failed'), [
    (dict(PYTEST='1'), 'pytest'), (dict(FAILING='ruff'), 'ruff'),
    (dict(PYTEST='5', FAILING='codespell ruff'), 'ruff codespell pytest'),
])
def test_a_failure_is_the_last_line_and_the_exit_status(run, settings, failed):
    status, last_line, _ = run('tools/run_tests.sh', **settings)
    assert (status, last_line) == (1, f'FAILED: {failed}')
    status, last_line, _ = run('.ci/run', **settings)
    assert (status, last_line) == (1, 'FAILED: tools/run_tests.sh')
    assert f'FAILED: {failed}' in run.told


@pytest.mark.parametrize(('result', 'status', 'told'), [
    ('0', 0, 'PASSED: all that was run'), ('1', 1, 'FAILED: tools/matrix.sh'),
    ('3', 0, 'WARNING: the lowest versions were NOT tested: install Python 3.10'),
])
def test_ci_runs_the_lowest_versions_too(run, result, status, told):
    found, _, calls = run('.ci/run', '-k', 'a and b', MATRIX=result)
    assert found == status
    assert told in run.told
    assert calls[-4] == f'{PARALLEL} -k a and b'
    assert calls[-3] == '-m venv .matrix/uv'
    assert calls[-2].startswith('-m pip install') and calls[-2].endswith(' uv')
    assert calls[-1] == 'tools/matrix.py lowest -- -k a and b'


def test_the_active_environment_is_taken_without_pins(run, checkout):
    status, _, calls = run('tools/run_tests.sh', '-x', '--no-venv')
    assert status == 0
    assert not (checkout / '.venv').exists()
    assert f'{checkout}/tools/install.py tests' in calls
    assert calls[-1] == f'{PARALLEL} -x'


def test_a_change_of_the_requirements_installs_again(run, checkout):
    run('tools/run_tests.sh')
    with (checkout / 'requirements' / 'runtime.txt').open('a') as file:
        file.write('more\n')
    _, _, calls = run('tools/run_tests.sh')
    assert sum('tools/install.py' in call for call in calls) == 1


def test_where_the_environment_cannot_be_written_each_run_looks(run, tmp_path):
    """As with a system's Python, where pip installs for the user."""
    (tmp_path / '.tvtsv2_mm_installed').mkdir()
    for _ in range(2):
        status, last_line, calls = run('tools/run_tests.sh', '--no-venv')
        assert (status, last_line) == (0, 'PASSED: all checks and all tests')
        assert sum('tools/install.py' in call for call in calls) == 1


def test_a_failed_installation_is_tried_again(run):
    status, last_line, _ = run('tools/run_tests.sh', PIP='1')
    assert (status, last_line) == (1, 'error: told')
    _, _, calls = run('tools/run_tests.sh')
    assert any('tools/install.py' in call for call in calls)


def test_the_torchvision_of_torchs_build_is_taken_where_there_is_one(run, tmp_path):
    status, _, calls = run('tools/run_tests.sh', FITS='1')
    assert status == 0 and any('--no-deps torchvision==1.0+cpu' in call for call in calls)
    assert 'import tvtsv2_mm before torchvision' not in run.told


@pytest.mark.parametrize(('words', 'settings'), [((), {}), (('--no-venv', ), dict(FITS='1'))])
def test_where_there_is_none_it_is_told_what_to_do(run, words, settings):
    status, _, calls = run('tools/run_tests.sh', *words, **settings)
    assert status == 0
    assert 'import tvtsv2_mm before torchvision (docs/installation.md)' in run.told
    assert any('torchvision==1.0+cpu' in call for call in calls) is not bool(words)


def test_an_unsupported_python_is_named(run):
    status, last_line, calls = run('tools/run_tests.sh', UNSUPPORTED='1')
    assert (status, calls) == (1, [])
    assert last_line.startswith('error: Python 3.10 to 3.13 is needed (python3.11: Python 3.x; ')
    assert last_line.endswith('; python3: Python 3.x): install Python 3.11')


def test_quickstart_passes_its_arguments_on(run):
    status, _, calls = run('tools/quickstart.sh', '--no-venv', '--smoke')
    assert status == 0
    assert calls[-1] == 'tools/quickstart.py --smoke'
