"""What is installed and what of it works, for bug reports: ``python -m tvtsv2_mm.env``.

Whatever is broken becomes a line. A process of its own collects the sections; where a library
crashes or hangs it, that is told, and the next one goes on behind that section. It imports nothing
from the current folder.
"""

import argparse
import importlib
import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import tvtsv2_mm
from tvtsv2_mm import compat
from tvtsv2_mm.choices import DTYPES

SECONDS = 120  # for one line: what is imported for the first time is compiled first
FOLDER = Path(tvtsv2_mm.__file__).parent
# Each module that counts, whichever distribution brings it, and what of it is imported here. The
# mends of compat.py are for what these import.
MODULES = {'numpy': 'numpy', 'torch': 'torch', 'torchvision': 'torchvision', 'cv2': 'cv2',
           'transformers': 'transformers', 'mmengine': 'mmengine.runner', 'mmcv': 'mmcv',
           'mmaction': 'mmaction.models', 'mmpretrain': '', 'mim': '', 'av': 'av',
           'decord': 'decord'}
# What is asked for, and the module by which another package serves in its place.
SERVED = {'mmengine': 'mmengine', 'mmcv-lite': 'mmcv', 'openmim': 'mim', 'decord': 'decord'}
_MARK = '\0'
_CHILD = ('import json, sys; sys.path[:] = json.loads(sys.argv[1]); '
          'from tvtsv2_mm.env import _tell; _tell(sys.argv[2:])')
_VARIABLES = re.compile(r'(OMP|MKL|KMP|CUDA|NCCL|GLOO|PYTORCH|TORCH|TORCHINDUCTOR)_\w+|CXX|'
                        r'PYTHONPATH|LD_LIBRARY_PATH|LD_PRELOAD|TVTSV2\w*')
_SECRET = re.compile('TOKEN|SECRET|PASSW|KEY|CREDENTIAL')


def attempt(act: Callable[[], object]) -> str:
    """What a function returns, or the error that it ends with, as a text."""
    try:
        return str(act())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit of a package that is imported, too
        return f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'


def _package() -> Iterator[str]:
    notes = []
    try:
        url = metadata.distribution('tvtsv2_mm').read_text('direct_url.json') or '{}'
        notes += ['editable'] * bool(json.loads(url).get('dir_info', {}).get('editable'))
    except metadata.PackageNotFoundError:
        notes.append('not installed')
    if (FOLDER.parent / '.git').exists():
        words = ('git', '-C', str(FOLDER.parent), 'describe', '--always', '--dirty')
        notes.append('commit ' + attempt(lambda: subprocess.run(
            words, check=True, capture_output=True, text=True).stdout.strip()))
    yield f'tvtsv2_mm {tvtsv2_mm.__version__}: {", ".join([str(FOLDER), *notes])}'
    yield f'Python {platform.python_version()}: {sys.executable}'
    yield f'platform: {platform.platform()}'


def _modules() -> Iterator[str]:
    brought = metadata.packages_distributions()
    own = {found.name: [found.name] for found in metadata.distributions()}
    for module, imported in MODULES.items():
        # Python 3.10 knows only those distributions that list their modules.
        names = sorted(set(brought.get(module, own.get(module, ()))))
        told = [f'{name} {attempt(partial(metadata.version, name))}' for name in names]
        found = attempt(lambda module=module: find_spec(module) is not None)
        if found == 'True':
            told = told or ['of no distribution']
            error = attempt(lambda name=imported: bool(name and importlib.import_module(name)))
            told += [error] * (error not in ('True', 'False'))
        else:
            told.append('missing' if found == 'False' else found)
        yield f'{module}: {", ".join(told)}'
        if len(names) > 1:
            yield (f'WARNING: {" and ".join(names)} write into one folder {module}: uninstall all '
                   'of them, and install one')


def _requirements() -> Iterator[str]:
    from packaging.requirements import Requirement

    def applies(requirement: Requirement, extra: str) -> bool:
        return requirement.marker is None or requirement.marker.evaluate({'extra': extra})

    found = metadata.metadata('tvtsv2_mm')
    asked = [Requirement(line) for line in found.get_all('Requires-Dist') or ()]
    extras = {extra: [one for one in asked if applies(one, extra)]
              for extra in ('', *(found.get_all('Provides-Extra') or ())) if extra != 'tests'}
    # The smallest extra that brings it.
    wanted: dict[str, tuple[str, Requirement]] = {}
    for extra, requirements in sorted(extras.items(), key=lambda item: len(item[1])):
        for one in requirements:
            wanted.setdefault(one.name, (extra, one))
    there, missing = [], []
    for name, (extra, one) in sorted(wanted.items()):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name not in SERVED or find_spec(SERVED[name]) is None:
                missing.append(f'{name} [{extra}]' if extra else name)
            continue
        fits = one.specifier.contains(version, prereleases=True)
        there.append(f'{name} {version}' + ('' if fits else f' (NOT {one.specifier})'))
    yield ', '.join(there)
    yield f'missing: {", ".join(missing) or "none"}'


def _torch() -> Iterator[str]:
    import torch
    from torch import distributed
    from torch.cuda import nccl
    yield (f'torch {torch.__version__}: CUDA {torch.version.cuda}, ROCm {torch.version.hip}, cuDNN '
           f'{attempt(torch.backends.cudnn.version)}, NCCL '
           f'{attempt(nccl.version) if distributed.is_nccl_available() else None}, gloo '
           f'{attempt(distributed.is_gloo_available)}')
    for device in range(torch.cuda.device_count()):
        yield f'cuda:{device}: ' + attempt(lambda device=device: (
            f'{torch.cuda.get_device_name(device)}, '
            f'{torch.cuda.get_device_properties(device).total_memory / 2**30:.0f} GiB'))
    names = re.findall(r'^model name\s*: (.*)', Path('/proc/cpuinfo').read_text(), re.MULTILINE) \
        if Path('/proc/cpuinfo').exists() else [platform.processor()]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    yield (f'CPU: {", ".join(dict.fromkeys(names))}, {os.cpu_count()} cores, {usable} usable, '
           f'{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}')
    compilers = [os.environ.get('CXX'), 'c++', 'g++', 'clang++', 'cl']
    found = next((name for name in compilers if name and shutil.which(name)), 'none')
    yield f'compile: C++ compiler {found}, triton {find_spec("triton") is not None}'


def _openmmlab() -> Iterator[str]:
    from mmengine.utils.dl_utils import collect_env
    told = collect_env()
    # The others of its lines stand above; torch's flags for its own build are three pages.
    for name in ('CUDA_HOME', 'NVCC', 'GCC', 'MSVC', 'PyTorch compiling details'):
        if name in told:
            yield f'{name}: {told[name]}'.partition('  - Build settings')[0].rstrip()


def _mends() -> Iterator[str]:
    words = {True: 'active', False: 'not needed', None: 'what it is for was not imported'}
    for name, active in compat.active().items():
        yield f'{name}: {words[active]}'


def _decoders() -> Iterator[str]:
    from tvtsv2_mm.utils.extras import needed_for
    from tvtsv2_mm.video.source import VideoSource
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, 'grey.mp4')
        # Widths below 64 are not for all decoders.
        written = attempt(lambda: _write_clip(clip))
        for name, kind in (('pyav', 'pyav_reader.PyAVReader'),
                           ('pyav without seeking', 'sequential_reader.SequentialReader'),
                           ('decord', 'decord_reader.DecordReader')):
            module, _, reader = f'tvtsv2_mm.video.{kind}'.rpartition('.')

            def read(module: str = module, reader: str = reader) -> str:
                with needed_for('decoding'):
                    opener = getattr(importlib.import_module(module), reader)
                if written != 'True':
                    return f'imported, not tried: no clip can be written ({written})'
                opened = opener(VideoSource(str(clip)))
                frames = opened.get_frames(range(opened.num_frames))
                opened.close()
                right = frames.shape == (4, 64, 64, 3) and abs(frames.mean() - 128) < 4
                return 'decodes' if right else f'decodes WRONGLY: {frames.shape} {frames.mean()}'
            yield f'{name}: {attempt(read)}'


def _write_clip(path: Path) -> bool:
    import numpy as np

    from tvtsv2_mm.preparation.narrated_shapes.render import write_video
    write_video(path, np.full((4, 64, 64, 3), 128, np.uint8), fps=8)
    return True


def _devices() -> Iterator[str]:
    import torch

    from tvtsv2_mm.models.backbones.space_time_vit import SpaceTimeViT
    from tvtsv2_mm.models.layers.cpu import products
    torch.manual_seed(0)
    model = SpaceTimeViT(image_size=32, width=64, layers=2, heads=2, embed_dim=16, num_frames=2)
    video = torch.randn(2, 2, 3, 32, 32)
    expected = model(video, class_only=True)[0].detach()

    def train(device: torch.device, dtype: torch.dtype) -> str:
        model.to(device).zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            embeds, _ = model(video.to(device), class_only=True)
        embeds.float().square().sum().backward()
        error = ((embeds.float().cpu() - expected).norm() / expected.norm()).item()
        finite = all(one.grad is None or one.grad.isfinite().all() for one in model.parameters())
        return 'works' if finite and error < 0.05 else f'WRONG (error {error:.2g}, {finite=})'

    kinds = ['cpu', *(f'cuda:{device}' for device in range(torch.cuda.device_count())),
             *['mps'] * torch.backends.mps.is_available()]
    dtypes = {name: getattr(torch, name) for name in DTYPES}
    for kind in kinds:
        told = [f'{name} {attempt(partial(train, torch.device(kind), dtype))}'
                for name, dtype in dtypes.items()]
        yield f'{kind}: {", ".join(told)}'
    told = [f'{name} {attempt(partial(products._is_for_onednn, dtype, True))}'
            for name, dtype in dtypes.items()]
    yield f'linear layers on the CPU by oneDNN: {", ".join(told)}'


def _variables() -> Iterator[str]:
    for name, value in sorted(os.environ.items()):
        if _VARIABLES.fullmatch(name) and not _SECRET.search(name):
            yield f'{name}={value}'


SECTIONS: dict[str, Callable[[], Iterator[str]]] = {
    # The variables before what is imported sets some.
    'package': _package, 'environment variables': _variables, 'modules': _modules,
    'requirements': _requirements, 'torch': _torch, 'mends (compat.py)': _mends,
    'decoders': _decoders, 'a training step': _devices, "mmengine's collect_env": _openmmlab}


def _tell(sections: Iterable[str]) -> None:
    """Print sections, each line behind a mark: what others print has none."""
    out = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)

    def tell(line: str) -> None:
        for one in line.splitlines():
            print(f'{_MARK}{one}', file=out, flush=True)

    with redirect_stdout(io.StringIO()):
        for section in sections:
            tell(f'[{section}]')

            def lines(section: str = section) -> None:
                for line in SECTIONS[section]():
                    tell(f'  {line}')
            if (error := attempt(lines)) != 'None':
                tell(f'  {error}')


def report() -> Iterator[str]:
    """The lines of all sections."""
    # -m puts the current folder first.
    here = os.getcwd()
    path = sys.path[sys.path[0] in ('', here) and here != str(FOLDER.parent):]
    pending = list(SECTIONS)
    while pending:
        # A mark in what others print would be seen as a line of ours, no more.
        process = subprocess.Popen(
            [sys.executable, '-I', '-c', _CHILD, json.dumps(path), *pending], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8', errors='replace')
        assert process.stdout is not None
        reached, last = pending[0], ''
        watch = _watch(process)
        for line in process.stdout:
            noise, mark, told = line.rstrip().partition(_MARK)
            last = noise.strip() or last
            if not mark:
                continue
            watch.cancel()
            if told[:1] == '[' and told[1:-1] in pending:
                reached = told[1:-1]
            yield told
            watch = _watch(process)
        watch.cancel()
        if process.wait() == 0:
            return
        how = (signal.Signals(-process.returncode).name if process.returncode < 0
               else f'status {process.returncode}')
        if how == 'SIGKILL':
            how += f' (after {SECONDS} s without a line, or by the system)'
        yield f'  this section ended the process: {how} {last}'
        pending = pending[pending.index(reached) + 1:]


def _watch(process: subprocess.Popen) -> threading.Timer:
    timer = threading.Timer(SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def main() -> None:
    """Print the report, the home folder as ~."""
    argparse.ArgumentParser(
        prog='python -m tvtsv2_mm.env',
        description='Print what is installed and what of it works, for bug reports.').parse_args()
    if hasattr(signal, 'SIGPIPE'):  # of `| head`: end without a word, as other programs do
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # '~' itself for a user whom the system does not know.
    home = os.path.expanduser('~')
    pattern = re.compile(rf'(?<![\w./-]){re.escape(home)}(?![\w.-])')
    for line in report():
        print(pattern.sub('~', line) if len(home) > 1 else line, flush=True)


if __name__ == '__main__':
    main()
