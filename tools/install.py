"""Install what is missing beside this Python, and replace nothing that a user has chosen.

torch, numpy, the package that cv2 comes from and the OpenMMLab packages stay as they are found,
and so does what serves in their place. mmengine, mmcv-lite and mmaction2 each ask for an opencv of
their own, and these share one folder: they are installed without what they ask for, and that
without a second opencv. ``--pins`` makes the environment what a constraints file says instead.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distributions, requires
from importlib.util import find_spec
from pathlib import Path

if find_spec('pip') is None:
    sys.exit(f'error: {sys.executable} has no pip: run it with "-m ensurepip", or "uv pip install '
             'pip", and then this again')
try:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
except ModuleNotFoundError:  # in an environment that has pip alone
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name

FILES = Path(__file__).resolve().parents[1] / 'requirements'
EXTRAS = ('video', 'weights', 'corpus', 'finetune', 'export', 'mteb', 'speech', 'page',
          'all', 'tests')
# What stays. Of packages that bring one module any serves that fits; where none is there, the first
# comes. (mmcv-full is mmcv 1, on which mmaction2 cannot be imported.)
_KEPT = (
    ('torch', ),
    ('numpy', ),
    ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
     'opencv-contrib-python-headless'),
    ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    ('mmcv-lite', 'mmcv>=2', 'mmcv-full>=2', 'onedl-mmcv'),
    ('mmaction2', ),
    ('openmim', 'onedl-mim'),
    ('decord', 'decord2'),
)
GROUPS = {Requirement(entry).name: [*map(Requirement, group)] for group in _KEPT for entry in group}


def read(name: str) -> list[str]:
    """Lines of a file of requirements/ without comments, with those of the files that it names."""
    lines: list[str] = []
    for line in (FILES / name).read_text('utf-8').splitlines():
        line = re.sub(r'(^|\s+)#.*', '', line)
        lines += read(line[3:]) if line.startswith('-r ') else [line] if line else []
    return lines


def installed() -> dict[str, str]:
    """Versions of all packages by their names."""
    # The first on the path is the one that is imported. What pip could not remove has no name.
    return {canonicalize_name(found.metadata['Name']): found.version
            for found in reversed([*distributions()]) if found.metadata['Name']}


def settle(wanted: Iterable[str], there: Mapping[str, str]) -> list[str]:
    """What of the requirements to install, beside versions by name that are there.

    Raises:
        ValueError: What is kept does not fit.
    """
    missing, wrong = [], []
    for line in wanted:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({'extra': ''}):
            continue
        name = canonicalize_name(requirement.name)
        group = GROUPS.get(name, [requirement])
        found = next((other for other in group if other.name in there), None)
        if name not in GROUPS or found is None:
            missing.append(line if name == group[0].name else group[0].name)
            continue
        fitting = requirement.specifier if found.name == name else found.specifier
        if not fitting.contains(there[found.name], prereleases=True):
            wrong.append(f'{found.name} {there[found.name]} is there, and {line} is needed')
    if wrong:
        raise ValueError('; '.join(wrong))
    return missing


def install(*words: str) -> None:
    """Run pip.

    Raises:
        RuntimeError: It fails.
    """
    words = ('-m', 'pip', 'install', '-qq', '--disable-pip-version-check',
             '--no-warn-conflicts', *words)
    if subprocess.run([sys.executable, *words], check=False).returncode:
        raise RuntimeError(
            'pip could not install what is missing, for the reason above; where nothing fits what '
            'is kept, such as a torchvision for your torch, install that first')


def install_all(extras: Sequence[str], pins: str | None) -> None:
    """Install the package's and its extras' needs; raises as :func:`settle`, :func:`install`."""
    stack = read('mminstall.txt')
    rest = [line for name in ('build', 'runtime', *extras) for line in read(f'{name}.txt')]
    there = {} if pins else installed()
    kept = {name: version for name, version in there.items() if name in GROUPS}
    settle([*stack, *rest], kept)  # what does not fit is told before anything is changed
    if kept:
        print('keeping', ', '.join(f'{name} {version}' for name, version in kept.items()))
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as held:
        held.writelines(f'{name}=={version}\n' for name, version in kept.items())
        held.flush()
        constraints = ('-c', pins or held.name)
        if missing := settle(stack, kept):
            install(*constraints, '--no-deps', *missing)
        # By now these are there, by whatever name.
        names = {other.name for line in stack for other in GROUPS[Requirement(line).name]}
        kept |= {name: version for name, version in installed().items() if name in names}
        own = [line for name in kept if name in names for line in requires(name) or ()]
        install(*constraints, *settle([*rest, *own], kept))


def main() -> None:
    """Install."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('extras', nargs='*', metavar='EXTRA',
                        help=f'what to install beside the core: {", ".join(EXTRAS)}')
    parser.add_argument('--pins', help='constraints file; nothing is kept that differs from it')
    args = parser.parse_args()
    if unknown := set(args.extras) - set(EXTRAS):
        parser.error(f'there is no extra {", ".join(unknown)}; there are {", ".join(EXTRAS)}')
    try:
        install_all(args.extras, args.pins)
    except ValueError as error:
        sys.exit(f'error: {error}: nothing was changed; install what is needed, or do without '
                 '--no-venv')
    except RuntimeError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
