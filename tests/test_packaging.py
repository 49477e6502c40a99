"""What is installed, from the sdist and in editable mode, without a network.

The fresh environments in which the same was tried by hand are listed in CONTRIBUTING.md.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs' / 'tvtsv2').glob('*.py'))
SHELL_SCRIPTS = [*sorted((ROOT / 'tools').glob('*.sh')), ROOT / '.ci' / 'run']
IGNORED = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', 'build', 'dist', 'work_dirs')


def python(*words, cwd, path=None):
    """Run Python and return what it prints last."""
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    environment.pop('PYTHONPATH', None)
    if path is not None:
        environment['PYTHONPATH'] = path
    done = subprocess.run([sys.executable, *map(str, words)], cwd=cwd, env=environment, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] if done.stdout else ''


def copy_checkout(target):
    """Copy what is in version control: no caches, environments, results."""
    shutil.copytree(ROOT, target, ignore=lambda folder, names: {
        *IGNORED(folder, names), *({'data'} & set(names) if folder == str(ROOT) else ())})
    return target


def unpacked_wheel(folder, hook):
    """Build with a hook of PEP 517 or 660 in ``folder`` and return the unpacked wheel."""
    out = folder.parent / hook
    out.mkdir()
    python('-c', f'from setuptools import build_meta; build_meta.{hook}({str(out)!r})', cwd=folder)
    [wheel] = out.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out)
    return out


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """What ``pip install`` of a wheel from the sdist leaves in site-packages."""
    folder = tmp_path_factory.mktemp('wheel')
    checkout = copy_checkout(folder / 'checkout')
    python('setup.py', '--quiet', 'sdist', '--dist-dir', folder, cwd=checkout)
    [sdist] = folder.glob('*.tar.gz')
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter='data')
    [source] = (path for path in folder.glob('tvtsv2_mm-*') if path.is_dir())
    left_over = source / 'build' / 'lib' / 'tvtsv2_mm' / '.mim' / 'configs' / 'deleted.py'
    left_over.parent.mkdir(parents=True)
    left_over.touch()
    return unpacked_wheel(source, 'build_wheel')


@pytest.fixture(scope='module')
def editable(tmp_path_factory):
    """A checkout, and what ``pip install -e`` of it leaves in site-packages."""
    checkout = copy_checkout(tmp_path_factory.mktemp('editable') / 'checkout')
    return checkout, unpacked_wheel(checkout, 'build_editable')


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob('*')
            if path.is_file() and path.suffix != '.pyc'}


def test_a_wheel_from_the_sdist_holds_everything(installed):
    package = installed / 'tvtsv2_mm'
    mim = package / '.mim'
    for folder in ('configs', 'tools'):
        assert files(mim / folder) == files(ROOT / folder)
    assert (mim / 'model-index.yml').read_text() == (ROOT / 'model-index.yml').read_text()
    modules = {name for name in files(package) if not name.startswith('.mim')}
    assert modules == files(ROOT / 'tvtsv2_mm')


def test_a_wheel_states_what_it_needs(installed):
    [metadata] = installed.glob('*.dist-info/METADATA')
    needed = {Requirement(line.partition(': ')[2]).name
              for line in metadata.read_text().splitlines()
              if line.startswith('Requires-Dist') and 'extra' not in line}
    assert {'torch', 'mmengine', 'mmcv-lite', 'mmaction2', 'openmim', 'transformers'} <= needed
    versions = re.search('^Requires-Python: (.*)$', metadata.read_text(), re.MULTILINE)[1]
    assert set(versions.split(',')) == {'>=3.11', '<3.13'}


LOOK_UP = """
import json
import sys

from mim.commands.search import get_model_info
from mim.utils import get_installed_path
import tvtsv2_mm
from mmengine.config import Config

cfg = Config.fromfile(sys.argv[1])
print(json.dumps(dict(package=tvtsv2_mm.__file__, mim=get_installed_path('tvtsv2_mm'),
                      models=list(get_model_info('tvtsv2_mm', to_dict=True)),
                      model=cfg.model.type, work_dir=cfg.work_dir)))
"""


def look_up(site_packages, folder):
    """Look for package, models and configs in another process, from another folder."""
    config = folder / 'users_config.py'
    config.write_text("_base_ = 'tvtsv2_mm::tvtsv2/vit-b16_pretrain.py'\nwork_dir = 'mine'\n")
    # A .pth file adds its lines behind the folder that it lies in.
    path = [str(site_packages), *(file.read_text().strip() for file in site_packages.glob('*.pth'))]
    found = json.loads(python('-c', LOOK_UP, config, cwd=folder, path=os.pathsep.join(path)))
    assert found['model'] == 'VideoTextModel'
    assert found['work_dir'] == 'mine'
    assert 'tvtsv2_vit-h_pretrain' in found['models']
    assert found['mim'] == str(site_packages / 'tvtsv2_mm')
    return Path(found['package'])


def test_mim_and_mmengine_find_a_wheel(installed, tmp_path):
    assert look_up(installed, tmp_path) == installed / 'tvtsv2_mm' / '__init__.py'


def test_mim_and_mmengine_find_an_editable_install(editable, tmp_path):
    checkout, site_packages = editable
    assert look_up(site_packages, tmp_path) == checkout / 'tvtsv2_mm' / '__init__.py'


def test_an_editable_install_never_goes_stale(editable, tmp_path):
    checkout, site_packages = editable
    mim = site_packages / 'tvtsv2_mm' / '.mim'
    name = 'configs/tvtsv2/vit-b16_pretrain.py'
    (checkout / name).write_text('edited = True')
    assert Config.fromfile(mim / name).edited is True
    (checkout / 'tools' / 'train.py').write_text('import sys; print(__name__, sys.argv[1:])')
    assert python(mim / 'tools/train.py', 'x', cwd=tmp_path) == "__main__ ['x']"


def test_every_folder_of_the_package_is_a_package():
    folders = {path.parent for path in (ROOT / 'tvtsv2_mm').rglob('*.py')}
    assert [folder for folder in folders if not (folder / '__init__.py').exists()] == []


def test_config_names_are_unique():
    """mim finds configs by their names alone."""
    names = Counter(path.name for path in (ROOT / 'configs').rglob('*.py'))
    names.update(path.name for path in (ROOT / 'tools').rglob('*.py'))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_is_complete(path):
    cfg = Config.fromfile(path)
    assert cfg.default_scope == 'tvtsv2_mm'
    assert 'model' in cfg
    assert 'train_dataloader' in cfg or 'test_dataloader' in cfg


def test_metafile_lists_every_size():
    [metafile] = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    models = yaml.safe_load((ROOT / metafile).read_text())['Models']
    listed = {model['Config'] for model in models}
    assert listed == {str(path.relative_to(ROOT)) for path in CONFIGS
                      if path.stem.endswith('_pretrain') and 'clip' not in path.stem}
    for model in models:
        for result in model.get('Results', ()):
            assert all(name.startswith('Paper ') for name in result['Metrics'])


@pytest.mark.parametrize('path', SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shell_script(path):
    subprocess.run(['bash', '-n', path], check=True)
    assert os.access(path, os.X_OK) is (path.name != 'setup_env.sh')  # that one is sourced


def test_direct_requirements_agree_with_the_constraints():
    lines = (ROOT / 'requirements' / 'constraints.txt').read_text().splitlines()
    pins = dict(re.fullmatch(r'([\w.-]+)==([\w.]+)', line).groups()
                for line in lines if not line.startswith('#'))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for name in ('build', 'mminstall', 'runtime', 'optional', 'corpus', 'export', 'tests'):
        for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines():
            if line and not line.startswith('#'):
                direct = Requirement(line)
                assert direct.specifier.contains(pins[canonicalize_name(direct.name)]), line
