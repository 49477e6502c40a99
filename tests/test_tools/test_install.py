"""tools/install.py, with a pip that only writes down what it is asked, and adds it."""

import re
import subprocess
import sys
import venv
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
# What the metadata of these says, as far as it matters here.
REQUIRES = {
    'mmengine': ['numpy', 'opencv-python>=3', 'matplotlib', 'regex; sys_platform == "win32"'],
    'mmcv-lite': ['mmengine >=0.3.0', 'opencv-python >=3'],
    'mmaction2': ['decord >=0.4.1', 'opencv-contrib-python', 'scipy', "mmcv; extra == 'mim'"],
}
ONEDL = {'onedl-mmengine': '0.10.9', 'onedl-mmcv': '2.3.6', 'onedl-mim': '0.5.1'}
OPENCV = ['opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
          'opencv-contrib-python-headless']


@pytest.fixture(scope='module')
def module():
    spec = spec_from_file_location('install', ROOT / 'tools' / 'install.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(module, monkeypatch):
    """Install into an environment; returns what pip was asked for, with ``run.constraints``."""

    def call(there, *words):
        there, calls = dict(there), []

        def pip(option, constraints, *words):
            assert option == '-c'
            call.constraints = Path(constraints).read_text().splitlines()
            no_deps = words[0] == '--no-deps'
            for line in words[no_deps:]:
                requirement = Requirement(line)
                there.setdefault(canonicalize_name(requirement.name), '1')
            calls.append(('--no-deps', ) if no_deps else ())
            calls[-1] += tuple(sorted(canonicalize_name(Requirement(line).name)
                                      for line in words[no_deps:]))

        monkeypatch.setattr(module, 'install', pip)
        monkeypatch.setattr(module, 'installed', lambda: dict(there))
        monkeypatch.setattr(module, 'requires', lambda name: REQUIRES.get(name))
        monkeypatch.setattr(sys, 'argv', ['install.py', 'tests', *words])
        call.calls = calls
        module.main()
        return calls

    return call


def opencv_of(call):
    return [name for name in call if 'opencv' in name]


@pytest.mark.parametrize('words', [(), ('--pins', str(ROOT / 'requirements/constraints.txt'))])
def test_one_opencv_comes_where_there_is_none(run, words):
    stack, rest = run({}, *words)
    assert stack == ('--no-deps', 'mmaction2', 'mmcv-lite', 'mmengine')
    assert set(opencv_of(rest)) == {'opencv-python'}
    assert {'torch', 'numpy', 'transformers', 'av', 'pyarrow', 'onnx', 'pytest', 'scipy',
            'matplotlib'} <= set(rest)
    assert not {'regex', 'mmcv', 'mmengine', 'mmcv-lite', 'mmaction2'} & set(rest)
    assert ('torch==2.13.0' in run.constraints) is bool(words)


@pytest.mark.parametrize('name', OPENCV)
def test_what_is_there_is_held_and_not_asked_for(run, name, capsys):
    there = {'torch': '2.9.0a0+git1', 'numpy': '2.5.2', name: '4.11.0.86', 'decord2': '3'}
    _, rest = run(there)
    assert run.constraints == [f'{package}=={version}' for package, version in there.items()]
    assert not {'torch', 'numpy', 'decord', *OPENCV} & set(rest)
    assert f'{name} 4.11.0.86' in capsys.readouterr().out


def test_a_stack_that_serves_is_taken(run, capsys):
    stack, rest = run(ONEDL)
    assert stack == ('--no-deps', 'mmaction2')
    assert not {'mmengine', 'mmcv-lite', 'mmcv', 'openmim'} & set(rest)
    assert 'onedl-mmcv 2.3.6' in capsys.readouterr().out
    [rest] = run({'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmaction2': '1.2.0'})
    assert not {'mmcv', 'mmcv-lite', 'mmengine'} & set(rest)


def test_nothing_is_kept_in_an_environment_that_is_pinned(run):
    _, rest = run({'torch': '2.6.0', 'opencv-python': '4.9'},
                      '--pins', str(ROOT / 'requirements' / 'constraints.txt'))
    assert {'torch', 'opencv-python'} <= set(rest)


@pytest.mark.parametrize(('name', 'version', 'needed'), [
    ('torch', '2.6.0+cu124', 'torch>=2.7'), ('numpy', '1.25.2', 'numpy>=1.26'),
    ('mmengine', '0.10.5', 'mmengine==0.10.7'), ('mmcv-full', '1.7.2', 'mmcv-lite==2.1.0')])
def test_what_does_not_fit_is_named_and_nothing_is_changed(run, name, version, needed):
    told = f'error: {name} {version} is there, and {needed} is needed: nothing was changed; '
    with pytest.raises(SystemExit, match=re.escape(told)):
        run({name: version})
    assert run.calls == []


def test_a_pip_that_fails_is_told(module, monkeypatch):
    monkeypatch.setattr(sys, 'executable', 'false')
    with pytest.raises(RuntimeError, match=r'for the reason above; .*, install that first$'):
        module.install('rich')


def test_an_environment_without_pip_is_told(tmp_path):
    venv.create(tmp_path)
    python = tmp_path / 'bin' / 'python'
    done = subprocess.run([python, ROOT / 'tools' / 'install.py'], text=True, capture_output=True,
                          check=False)
    assert done.returncode == 1
    assert done.stderr == (f'error: {python} has no pip: run it with "-m ensurepip", or "uv pip '
                           'install pip", and then this again\n')
