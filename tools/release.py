"""What has to hold before a release, step by step; from the checkout, in its environment."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEMORY_LIMIT_GB = 12


def run(*words: str | Path, cwd: Path = ROOT) -> str:
    """Run a program without this checkout on its path; return what it prints."""
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(list(map(str, words)), cwd=cwd, env=environment, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f'{" ".join(map(str, words))}\n{done.stdout}')
    return done.stdout


def clean() -> None:
    """Nothing is uncommitted."""
    if changed := run('git', 'status', '--porcelain'):
        raise RuntimeError(changed)


def agree(root: Path = ROOT) -> None:
    """Package, CHANGELOG.md, CITATION.cff and the model index name one version and one paper."""
    import yaml

    def load(name: str) -> dict:
        return yaml.safe_load((root / name).read_text('utf-8'))

    source = (root / 'tvtsv2_mm' / '__init__.py').read_text('utf-8')
    version = source.partition("__version__ = '")[2].partition("'")[0]
    cited = load('CITATION.cff')
    paper = cited['preferred-citation']
    wrong = []
    if str(cited['version']) != version:
        wrong.append(f'CITATION.cff has version {cited["version"]}, the package {version}')
    [newest, *_] = re.findall(r'^## ([\w.]+)', (root / 'CHANGELOG.md').read_text('utf-8'), re.M)
    if newest != version:
        wrong.append(f'CHANGELOG.md begins with {newest}, the package has version {version}')
    for name in load('model-index.yml')['Import']:
        index = load(name)
        wrong += [f'{name}: there is no {model["Config"]}' for model in index['Models']
                  if not (root / model['Config']).is_file()]
        wrong += [f'{name}: the paper of {part["Name"]} is not that of CITATION.cff'
                  for part in index['Collections']
                  if part['Paper'] != {'URL': paper['url'], 'Title': paper['title']}]
    if wrong:
        raise RuntimeError('\n'.join(wrong))


def memory(size: str = 'vit-h14') -> None:
    """Convert a checkpoint of the largest release (4.9 GB, random weights) in at most 12 GB."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, 'release.pth'), Path(folder, 'release.safetensors')
        run(sys.executable, '-c', f"""
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tvtsv2_mm.checkpoints.convert_checkpoint import to_release_layout
from tvtsv2_mm.registry import MODELS

init_default_scope('tvtsv2_mm')
model = MODELS.build(Config.fromfile('configs/_base_/models/tvtsv2_{size}.py').model)
torch.save(dict(state_dict=to_release_layout(model.state_dict())), {str(source)!r})
""")
        process = subprocess.Popen(
            [sys.executable, 'tools/convert_checkpoint.py', source, target], cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        used = usage.ru_maxrss * 1024 / 1e9  # Linux counts in KiB
        print(f'{source.stat().st_size / 1e9:.1f} GB converted in {used:.1f} GB of memory')
    if status or used > MEMORY_LIMIT_GB:
        raise RuntimeError(f'exit status {status}, limit {MEMORY_LIMIT_GB} GB')


def core() -> None:
    """pip install . in a fresh environment: models can be imported (network)."""
    with tempfile.TemporaryDirectory() as env, tempfile.TemporaryDirectory() as elsewhere:
        make_environment(Path(env), '.')
        run(Path(env, 'bin', 'python'), '-c', 'import tvtsv2_mm.models, tvtsv2_mm.apis.inferencer',
            cwd=Path(elsewhere))


def install() -> None:
    """pip install .[all] in a fresh environment, tried from another folder (network)."""
    try_fresh('.[all]')


def editable() -> None:
    """pip install -e .[all] in a fresh environment, tried from another folder (network)."""
    try_fresh('-e', '.[all]')


def archives() -> None:
    """Build sdist and wheel, install the wheel in a fresh environment, try it (network)."""
    with tempfile.TemporaryDirectory() as folder:
        make_environment(Path(folder), 'build')
        run(Path(folder, 'bin', 'python'), '-m', 'build', '--outdir', Path(folder, 'dist'), ROOT)
        [wheel] = Path(folder, 'dist').glob('*.whl')
        try_fresh(f'{wheel}[all]')


STEPS: dict[str, Callable[[], None]] = {
    step.__name__: step for step in (clean, agree, memory, core, install, editable, archives)}


def make_environment(folder: Path, *words: str) -> None:
    """Make a virtual environment, with what ``pip install`` of the words brings."""
    run(sys.executable, '-m', 'venv', folder)
    run(folder / 'bin' / 'python', '-m', 'pip', 'install', '-c', 'requirements/constraints.txt',
        *words)


def try_fresh(*words: str) -> None:
    """Install in a fresh environment and try it from another folder."""
    with tempfile.TemporaryDirectory() as env, tempfile.TemporaryDirectory() as elsewhere:
        make_environment(Path(env), *words)
        try_out(Path(env, 'bin', 'python'), Path(elsewhere))


def try_out(python: Path, folder: Path) -> None:
    """mim search, train and test of the tiny recipe, from a folder without the sources.

    Args:
        python: Of an environment in which the package is installed.
        folder: Where to work; empty.
    """
    def mim(*words: str | Path) -> str:
        return run(python, '-m', 'mim', *words, cwd=folder)

    if 'tvtsv2_tiny_pretrain' not in mim('search', 'tvtsv2_mm'):
        raise RuntimeError('mim search does not find the tiny recipe')
    mim('run', 'tvtsv2_mm', 'make_narrated_shapes', '--transcript-videos', '32', '8',
        '--clip-rounds', '1', '1', '--order-clips', '0', '0')
    mim('train', 'tvtsv2_mm', 'tiny_pretrain.py', '--work-dir', 'trained', '--cfg-options',
        'train_cfg.max_epochs=1', 'default_hooks.checkpoint.interval=1',
        *(f'train_dataloader.dataset.datasets.{part}.times=1' for part in (0, 1)))
    own = folder / 'users_config.py'
    own.write_text("_base_ = 'tvtsv2_mm::tvtsv2/tiny_retrieval.py'\nwork_dir = 'mine'\n")
    told = mim('test', 'tvtsv2_mm', own, '--checkpoint', 'trained/epoch_1.pth')
    if 't2v/R1' not in told or not (folder / 'mine').is_dir():
        raise RuntimeError(f'mim test does not do what {own.name} says:\n{told}')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    steps = '\n'.join(f'  {name:9} {step.__doc__}' for name, step in STEPS.items())
    parser = argparse.ArgumentParser(description=f'{__doc__}\n\nsteps:\n{steps}',
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('steps', nargs='*', choices=['all', *STEPS], default='all',
                        help='those to take (default: all)')
    return parser.parse_args()


def main() -> int:
    """Take all steps that are asked for, whatever fails; returns the exit status."""
    asked = parse_args().steps
    failed = []
    for name in STEPS if 'all' in asked else asked:
        print(f'== {name}: {STEPS[name].__doc__}', flush=True)
        try:
            STEPS[name]()
        except RuntimeError as error:
            print(error)
            failed.append(name)
    print(f'FAILED: {" ".join(failed)}' if failed else 'PASSED')
    return bool(failed)


if __name__ == '__main__':
    sys.exit(main())
