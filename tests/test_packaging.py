"""What is installed, from the sdist and in editable mode, without a network.

tools/release.py tries the same in fresh environments, with a network.
"""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tvtsv2_mm
from tvtsv2_mm.utils.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs').glob('[!_]*/*.py'))
SHELL_SCRIPTS = [*sorted((ROOT / 'tools').glob('*.sh')), ROOT / '.ci' / 'run']
RELEASE = runpy.run_path(str(ROOT / 'tools' / 'release.py'))
INSTALL = runpy.run_path(str(ROOT / 'tools' / 'install.py'))
ALONE = ('test_apis/test_inferencer.py', 'test_checkpoints/test_sizes.py', 'test_evaluation',
         'test_datasets', 'test_models/test_backbones', 'test_models/test_heads',
         'test_models/test_layers', 'test_models/test_necks', 'test_preparation/test_benchmarks',
         'test_preparation/test_converters', 'test_preparation/test_inspection', 'test_utils',
         'test_registry.py')
IGNORED = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', 'build', 'dist', 'work_dirs')


def python(*words, cwd, path=None, executable=sys.executable):
    """Run Python and return what it prints last."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('PYTHONPATH', 'PYTEST'))}
    environment['OMP_NUM_THREADS'] = '1'
    if path is not None:
        environment['PYTHONPATH'] = path
    done = subprocess.run([executable, *map(str, words)], cwd=cwd, env=environment, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
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
def alone(installed):
    """A Python that has the wheel, what it needs from this environment, and no checkout."""
    folder = installed.parent / 'alone'
    venv.create(folder, symlinks=True)
    executable = folder / 'bin' / 'python'
    [site_packages] = folder.glob('lib/*/site-packages')
    # A .pth file adds folders, but not what .pth files in them add: no editable install.
    lent = [path for path in sys.path if path.endswith('-packages')]
    (site_packages / 'lent.pth').write_text('\n'.join(lent))
    [wheel] = installed.glob('*.whl')
    python('-m', 'pip', '--python', executable, 'install', '--no-deps', '--no-index',
           '--ignore-installed', wheel, cwd=folder)
    found = python('-c', 'import tvtsv2_mm; print(tvtsv2_mm.__file__)', cwd=folder,
                   executable=executable)
    assert found == str(site_packages / 'tvtsv2_mm' / '__init__.py')
    return executable, Path(found).parent


@pytest.fixture(scope='module')
def editable(tmp_path_factory):
    """A checkout, and what ``pip install -e`` of it leaves in site-packages."""
    checkout = copy_checkout(tmp_path_factory.mktemp('editable') / 'checkout')
    site_packages = unpacked_wheel(checkout, 'build_editable')
    [metadata] = site_packages.glob('*.dist-info')
    (metadata / 'direct_url.json').write_text(  # as pip does, which onedl-mim reads
        json.dumps(dict(url=checkout.as_uri(), dir_info=dict(editable=True))))
    return checkout, site_packages


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
    assert modules == files(ROOT / 'tvtsv2_mm') >= {'py.typed'}


def test_a_wheel_states_what_it_needs(installed):
    [metadata] = installed.glob('*.dist-info/METADATA')
    needed = {Requirement(line.partition(': ')[2]).name
              for line in metadata.read_text().splitlines()
              if line.startswith('Requires-Dist') and 'extra' not in line}
    assert needed >= {'torch', 'numpy', 'mmengine', 'mmcv-lite', 'mmaction2', 'transformers'}
    # What a model alone does without, and what pip must not choose: any cv2 does.
    assert not [name for name in needed if 'opencv' in name or name in {
        'torchvision', 'openmim', *(name for group in EXTRAS.values() for name in group.values())}]
    assert re.search('^Requires-Python: (.*)$', metadata.read_text(), re.MULTILINE)[1] == '>=3.10'
    extras = re.findall('^Provides-Extra: (.*)$', metadata.read_text(), re.MULTILINE)
    assert set(extras) == {*EXTRAS, 'all', 'tests'} == set(INSTALL['EXTRAS'])


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
    # onedl-mim takes the checkout of an editable install.
    assert Path(found['mim']) in (site_packages / 'tvtsv2_mm', site_packages.parent / 'checkout')
    return Path(found['package'])


def test_mim_and_mmengine_find_a_wheel(installed, tmp_path):
    assert look_up(installed, tmp_path) == installed / 'tvtsv2_mm' / '__init__.py'


def test_onedl_mim_finds_a_wheel_by_its_metadata(installed, tmp_path):
    """It takes the first folder of an installation for the package."""
    [mim] = installed.glob('*.dist-info/.mim')
    assert files(mim) == files(installed / 'tvtsv2_mm/.mim')
    name = 'configs/tvtsv2/vit-b16_pretrain.py'
    assert Config.fromfile(mim / name).model == Config.fromfile(ROOT / name).model
    python(mim / 'tools/train.py', '--help', cwd=tmp_path, path=str(installed))


@pytest.mark.slow
def test_the_wheel_alone_trains_and_tests(alone, tmp_path):
    executable, _ = alone
    RELEASE['try_out'](executable, tmp_path)


@pytest.mark.slow
def test_the_wheel_alone_passes_its_tests(alone, tmp_path):
    """With its configs and tools; what takes long or several processes runs in the checkout."""
    executable, package = alone
    shutil.copy(ROOT / 'pyproject.toml', tmp_path)
    shutil.copytree(ROOT / 'tests', tmp_path / 'tests', ignore=IGNORED)
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(package / '.mim' / name)
    last_line = python('-m', 'pytest', '-q', '-m', 'not slow', '-k', 'not ranks',
                       *(f'tests/{name}' for name in ALONE), cwd=tmp_path, executable=executable)
    assert int(re.match(r'(\d+) passed', last_line)[1]) > 900


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
    recognizer = cfg.model.type in ('Recognizer3D', 'MMRecognizer3D')
    assert cfg.default_scope == ('mmaction' if recognizer else 'tvtsv2_mm')
    assert 'train_dataloader' in cfg or 'test_dataloader' in cfg


def test_the_citation():
    cited = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))
    assert cited.keys() >= {'cff-version', 'message', 'title', 'authors'}
    assert cited['cff-version'] == '1.2.0'
    assert cited['version'] == tvtsv2_mm.__version__
    paper = cited['preferred-citation']
    assert paper['url'].endswith('/2305.14173')
    assert [author['family-names'] for author in paper['authors']] == [
        'Zeng', 'Ge', 'Tong', 'Liu', 'Xia', 'Shan']


@pytest.mark.parametrize(('name', 'old', 'new', 'told'), [
    ('CHANGELOG.md', '## 9', '## Unreleased', 'CHANGELOG.md begins with Unreleased'),
    ('CITATION.cff', 'version: 9', 'version: 8', 'CITATION.cff has version 8'),
    ('CITATION.cff', '2305.', '2306.', 'the paper of TVTSv2 is not that of CITATION.cff'),
    ('configs/tvtsv2/metafile.yml', 'tiny_pretrain.py', 'gone.py', 'there is no configs/'),
])
def test_a_release_whose_files_disagree_is_refused(tmp_path, name, old, new, told):
    for path in ('CITATION.cff', 'model-index.yml', 'configs/tvtsv2/metafile.yml'):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / path).read_text('utf-8').replace(
            f'\nversion: {tvtsv2_mm.__version__}', '\nversion: 9')
        (tmp_path / path).write_text(text)
    for config in CONFIGS:
        path = tmp_path / config.relative_to(ROOT)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / 'tvtsv2_mm').mkdir()
    (tmp_path / 'tvtsv2_mm/__init__.py').write_text("__version__ = '9'\n")
    (tmp_path / 'CHANGELOG.md').write_text('# Changelog\n\n## 9, today\n\n## 8\n')
    RELEASE['agree'](tmp_path)
    file = tmp_path / name
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(RuntimeError, match=re.escape(told)):
        RELEASE['agree'](tmp_path)


def test_metafile_lists_every_size():
    [metafile] = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    models = yaml.safe_load((ROOT / metafile).read_text())['Models']
    listed = {model['Config'] for model in models}
    assert listed == {str(path.relative_to(ROOT)) for path in CONFIGS
                      if path.stem.endswith('_pretrain')}
    for model in models:
        for result in model.get('Results', ()):
            assert all(name.startswith('Paper ') for name in result['Metrics'])


@pytest.mark.parametrize('path', SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shell_script(path):
    subprocess.run(['bash', '-n', path], check=True)
    assert os.access(path, os.X_OK) is (path.name not in ('launch.sh', 'setup_env.sh'))


REQUIREMENTS = [path for path in sorted((ROOT / 'requirements').glob('*.txt'))
                if not path.stem.startswith('constraints')]


@pytest.mark.parametrize('name', EXTRAS)
def test_an_extra_brings_what_its_errors_name(name):
    lines = INSTALL['read'](f'{name}.txt')
    assert {Requirement(line).name for line in lines} == set(EXTRAS[name].values())


def test_all_and_tests_hold_every_extra():
    extras = {line for name in EXTRAS for line in INSTALL['read'](f'{name}.txt')}
    assert extras <= set(INSTALL['read']('all.txt')) <= set(INSTALL['read']('tests.txt'))


@pytest.mark.parametrize('path', REQUIREMENTS, ids=lambda path: path.stem)
def test_every_bound_has_its_reason(path):
    """In a comment above it, or at the end of its line."""
    above = ''
    for line in path.read_text().splitlines():
        requirement, _, reason = line.partition('#')
        if re.search('[<>=]', requirement):
            assert reason or above.startswith('#'), line
        above = line


@pytest.mark.parametrize('name', ['build', 'mminstall', 'runtime', 'all'])
def test_everything_has_a_lower_bound(name):
    """Which tools/matrix.sh installs."""
    for line in INSTALL['read'](f'{name}.txt'):
        assert re.search('[>=]=', line), line


@pytest.mark.parametrize('path', REQUIREMENTS, ids=lambda path: path.stem)
def test_direct_requirements_agree_with_the_constraints(path):
    lines = (ROOT / 'requirements' / 'constraints.txt').read_text().splitlines()
    pins = dict(re.fullmatch(r'([\w.-]+)==([\w.]+)', line).groups()
                for line in lines if not line.startswith('#'))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for line in INSTALL['read'](path.name):
        direct = Requirement(line)
        assert direct.specifier.contains(pins[canonicalize_name(direct.name)]), line
