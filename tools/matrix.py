"""Environments from the lowest versions to the newest, and the fast tests in each; by matrix.sh.

Needs nothing but Python, and uv beside it. A record, ``requirements/tried/COLUMN.txt``, is a
constraints file of all that was installed, with the result in its second line; the table of
docs/installation.md is made from these, by ``tools/docs/blocks.py``, which a record renews.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
TRIED = ROOT / 'requirements' / 'tried'
OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
          'opencv-contrib-python-headless')
PYTEST = ('-m', 'pytest', '-q', '-n', 'auto', '--maxprocesses', '4', '--dist', 'loadfile',
          '--no-loadscope-reorder', '-m', 'not slow')
# What says to pip where packages are says it to uv.
FROM_PIP = {'PIP_INDEX_URL': 'UV_DEFAULT_INDEX', 'PIP_EXTRA_INDEX_URL': 'UV_INDEX',
            'PIP_FIND_LINKS': 'UV_FIND_LINKS', 'PIP_CERT': 'SSL_CERT_FILE'}
NOT_RUN = 3


@dataclass(frozen=True)
class Column:
    """One environment.

    Attributes:
        python: Its version.
        lines: Requirements beside those of requirements/.
        without: Packages that are left out, whoever asks for them.
        options: Of ``uv pip install``.
        build: Constraints on what packages are built with.
    """

    python: str
    lines: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    build: tuple[str, ...] = ()


def but(opencv: str) -> tuple[str, ...]:
    """The other packages that bring cv2: plain pip would bring two, into one folder."""
    return tuple(name for name in OPENCV if name != opencv)


COLUMNS = {
    'lowest': Column('3.10', lines=('opencv-contrib-python>=4.8', ),
                     without=but('opencv-contrib-python'),
                     options=('--resolution', 'lowest-direct')),
    'pinned': Column('3.11', options=('-c', 'requirements/constraints.txt')),
    'middle': Column('3.12', lines=('opencv-python-headless', 'torch==2.11.0', 'numpy==2.5.2',
                                    'transformers==5.17.0', 'av==18.1.0'),
                     without=but('opencv-python-headless')),
    'newest': Column('3.13', lines=('opencv-python', ), without=but('opencv-python')),
    'onedl': Column('3.12', lines=('opencv-python', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mim'),
                    without=('mmengine', 'mmcv-lite', 'openmim', *but('opencv-python'))),
    # mmcv comes as source alone, which newer setuptools do not build.
    'mmcv': Column('3.12', lines=('opencv-python', 'mmcv'),
                   without=('mmcv-lite', *but('opencv-python')), build=('setuptools<81', )),
}


def environment(**more: str) -> dict[str, str]:
    """The variables for a program: what is on our path is not on its."""
    kept = {name: value for name, value in os.environ.items()
            if name not in ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV')}
    told = {other: kept[name] for name, other in FROM_PIP.items() if name in kept}
    if 'UV_FIND_LINKS' in told:
        told['UV_FIND_LINKS'] = ','.join(told['UV_FIND_LINKS'].split())
    return told | kept | more


def uv(*words: object, **more: str) -> None:
    """Run uv; raises CalledProcessError."""
    subprocess.run([Path(sys.executable).with_name('uv'), *map(str, words)], cwd=ROOT, check=True,
                   env=environment(UV_SYSTEM_CERTS='1', **more))


def make(name: str, column: Column) -> Path | None:
    """Make an environment afresh; its Python, or None where there is none of the version.

    Raises:
        subprocess.CalledProcessError: What is asked for cannot be installed.
    """
    folder = ROOT / '.matrix' / name
    # pyenv's stand-ins on the PATH run when the version is named.
    found = dict(PYENV_VERSION=column.python,
                 UV_PYTHON_DOWNLOADS=os.environ.get('UV_PYTHON_DOWNLOADS', 'never'))
    try:
        uv('python', 'find', '-q', '--no-project', '--system', column.python, **found)
    except subprocess.CalledProcessError:
        return None
    uv('venv', '-q', '--seed', '--clear', '--python', column.python, '--system', folder, **found)
    python = folder / 'bin' / 'python'
    given, left_out, build = (folder / f'{one}.txt' for one in ('given', 'left-out', 'build'))
    given.write_text('\n'.join(column.lines), 'utf-8')
    lines = [f'{one}; python_version < "3"' for one in column.without]
    left_out.write_text('\n'.join(lines), 'utf-8')
    build.write_text('\n'.join(column.build), 'utf-8')
    install = ('pip', 'install', '-q', '--python', python, '--override', left_out,
               '--build-constraints', build)
    files = [word for one in ('build', 'mminstall', 'runtime', 'all')
             for word in ('-r', f'requirements/{one}.txt')]
    uv(*install, *column.options, *files, '-r', given)
    # What only the tests need is the newest; it replaces nothing that fits.
    uv(*install, '-r', 'requirements/tests.txt', '-r', given)
    uv(*install, '--no-deps', '--no-build-isolation', '-e', '.')
    return python


def installed(python: Path) -> list[str]:
    """All packages of an environment but this one, as lines for pip."""
    listed = subprocess.run(
        [Path(sys.executable).with_name('uv'), 'pip', 'freeze', '-q', '--python', python],
        check=True, env=environment(), text=True, stdout=subprocess.PIPE).stdout
    return [line for line in listed.splitlines() if '==' in line]


def run_tests(python: Path, words: Sequence[str]) -> dict:
    """Run the fast tests; how many passed and were skipped, which failed, and the seconds."""
    report = python.parents[1] / 'tests.xml'
    start = time.monotonic()
    status = subprocess.run(
        [python, *PYTEST, f'--junitxml={report}', *words], cwd=ROOT, check=False,
        env=environment(PATH=f'{python.parent}:{os.environ["PATH"]}',
                        OMP_NUM_THREADS=os.environ.get('OMP_NUM_THREADS', '1'))).returncode
    seconds = round(time.monotonic() - start)
    cases = [*ElementTree.parse(report).iter('testcase')] if report.exists() else []
    failed = ['::'.join(filter(None, (case.get('classname'), case.get('name')))) for case in cases
              if case.find('failure') is not None or case.find('error') is not None]
    skipped = sum(case.find('skipped') is not None for case in cases)
    passed = len(cases) - skipped - len(failed)
    if status and not failed:
        failed = [f'pytest ended with status {status}']
    return dict(passed=passed, failed=failed, skipped=skipped, seconds=seconds)


def try_column(name: str, record: bool, words: Sequence[str]) -> dict | None:
    """Make an environment and run the tests in it; the result, or None where it was not run."""
    print(f'== {name}: Python {COLUMNS[name].python}', flush=True)
    start = time.monotonic()
    try:
        python = make(name, COLUMNS[name])
    except subprocess.CalledProcessError:
        return dict(passed=0, failed=['the environment cannot be made'], skipped=0, seconds=0,
                    packages={})
    if python is None:
        return None
    print(f'made in {time.monotonic() - start:.0f} s', flush=True)
    version = subprocess.run([python, '--version'], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.split()[1]
    result = dict(date=date.today().isoformat(), python=version) | run_tests(python, words)
    lines = installed(python)
    if record:
        TRIED.mkdir(exist_ok=True)
        text = [f'# The column {name} of tools/matrix.sh, and the result of the fast tests in it:',
                f'# {json.dumps(result)}', *lines, '']
        (TRIED / f'{name}.txt').write_text('\n'.join(text), 'utf-8')
        subprocess.run([python, 'tools/docs/blocks.py'], cwd=ROOT, check=False, env=environment())
    return result | dict(packages=packages(lines))


def packages(lines: Sequence[str]) -> dict[str, str]:
    """Versions by name, of lines for pip."""
    return dict(line.split('==') for line in lines)


def read_record(name: str) -> dict | None:
    """The last result of a column, if there is one."""
    file = TRIED / f'{name}.txt'
    if not file.exists():
        return None
    _, result, *lines = file.read_text('utf-8').splitlines()
    return json.loads(result.removeprefix('# ')) | dict(packages=packages(lines))


def table(results: Mapping[str, dict | None]) -> str:
    """The results of columns, as rows."""
    shown = ('torch', 'numpy', 'transformers', 'av')
    heads = ['', 'Python', *shown, 'cv2', 'passed', 'failed', 'skipped', 'minutes', 'date']
    rows = [heads, ['---'] * len(heads)]
    for name, result in results.items():
        if result is None:
            rows.append([name, f'{COLUMNS[name].python}: not run', *[''] * (len(heads) - 2)])
            continue
        found = result['packages']
        rows.append([
            name, result.get('python', ''), *(found.get(one, '') for one in shown),
            ', '.join(f'{one} {found[one]}' for one in OPENCV if one in found),
            str(result['passed']), str(len(result['failed'])), str(result['skipped']),
            f'{result["seconds"] / 60:.0f}', result.get('date', '')])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def block() -> str:
    """The table of the records."""
    return table({name: read_record(name) for name in COLUMNS})


def main() -> None:
    """Run columns."""
    words = sys.argv[1:]
    own = words[:words.index('--')] if '--' in words else words
    parser = argparse.ArgumentParser(
        prog='tools/matrix.sh', formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__, epilog='Behind -- come arguments of pytest.')
    parser.add_argument('columns', nargs='*', metavar='COLUMN', help=f'{", ".join(COLUMNS)} (all)')
    parser.add_argument('--record', action='store_true',
                        help='write requirements/tried/COLUMN.txt (all fast tests)')
    args = parser.parse_args(own)
    chosen = args.columns or list(COLUMNS)
    if unknown := set(chosen) - set(COLUMNS):
        parser.error(f'{", ".join(unknown)}: no such column; there are {", ".join(COLUMNS)}')
    rest = words[len(own) + 1:]
    if args.record and rest:
        parser.error('--record is for all fast tests, not for some by arguments of pytest')
    results = {name: try_column(name, args.record, rest) for name in chosen}
    print('\n' + table(results))
    for name, result in results.items():
        for failed in result['failed'] if result else ():
            print(f'{name}: FAILED {failed}')
    if missing := [f'{name} (no Python {COLUMNS[name].python})'
                   for name, result in results.items() if result is None]:
        print(f'NOT RUN: {", ".join(missing)}')
    if any(result and result['failed'] for result in results.values()):
        sys.exit(1)
    sys.exit(NOT_RUN if missing else 0)


if __name__ == '__main__':
    main()
