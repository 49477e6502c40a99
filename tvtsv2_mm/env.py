"""What is installed and what of it works, for bug reports: ``python -m tvtsv2_mm.env``.

Whatever is broken becomes a line. A process of its own collects the sections: where a library
crashes or hangs it, that is told, and another goes on with the next. Nothing is imported from the
current folder.
"""

import argparse
import faulthandler
import importlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

import tvtsv2_mm
from tvtsv2_mm import compat
from tvtsv2_mm.choices import DTYPES
from tvtsv2_mm.utils.processor import processor

SECONDS = 300  # for one section: what is imported for the first time is compiled first
FOLDER = Path(tvtsv2_mm.__file__).parent
# Each module that counts, whichever distribution brings it. The mends of compat.py are for what
# these import.
MODULES = ('numpy', 'torch', 'torchvision', 'cv2', 'transformers', 'mmengine.runner', 'mmcv',
           'mmaction.models', 'mmpretrain', 'mim', 'av', 'decord')
# What is asked for, and the module by which another package serves in its place.
SERVED = {'mmengine': 'mmengine', 'mmcv-lite': 'mmcv', 'openmim': 'mim', 'decord': 'decord'}
_CHILD = ('import json, sys; sys.path[:] = json.loads(sys.argv[1]); '
          'from tvtsv2_mm.env import _tell; _tell(int(sys.argv[2]), sys.argv[3:])')
_VARIABLES = re.compile(r'(?!.*(TOKEN|SECRET|PASSW|KEY|CREDENTIAL))('
                        r'(OMP|MKL|KMP|CUDA|NCCL|GLOO|PYTORCH|TORCH|TORCHINDUCTOR)_\w+|CXX|'
                        r'PYTHONPATH|LD_LIBRARY_PATH|LD_PRELOAD|TVTSV2\w*)')


def attempt(act: Callable[[], object]) -> str:
    """What a function returns, or the error that it ends with, as a text."""
    try:
        return str(act())
    except BaseException as error:  # SystemExit of a package that is imported, too
        return f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'


def _package() -> Iterator[str]:
    commit = ''
    if (FOLDER.parent / '.git').exists():
        words = ('git', '-C', str(FOLDER.parent), 'describe', '--always', '--dirty')
        commit = ', commit ' + attempt(lambda: subprocess.run(
            words, check=True, capture_output=True, text=True).stdout.strip())
    yield f'tvtsv2_mm {tvtsv2_mm.__version__}: {FOLDER}{commit}'
    yield f'Python {platform.python_version()}: {sys.executable}'
    yield f'platform: {platform.platform()}'


def _variables() -> Iterator[str]:
    yield from (f'{name}={value}' for name, value in sorted(os.environ.items())
                if _VARIABLES.fullmatch(name))


def _modules() -> Iterator[str]:
    brought = metadata.packages_distributions()
    own = {found.name: [found.name] for found in metadata.distributions()}
    for imported in MODULES:
        module = imported.partition('.')[0]
        # Python 3.10 knows only those distributions that list their modules.
        names = sorted(set(brought.get(module, own.get(module, ()))))
        told = [f'{name} {attempt(partial(metadata.version, name))}' for name in names]
        error = attempt(lambda name=imported: importlib.import_module(name) and '')
        if error == f"ModuleNotFoundError: No module named '{module}'":
            told.append('missing')
        else:
            told = (told or ['of no distribution']) + [error] * bool(error)
        yield f'{module}: {", ".join(told)}'
        if len(names) > 1:
            yield (f'WARNING: {" and ".join(names)} write into one folder {module}: uninstall all '
                   'of them, and install one')
    words = {True: 'active', False: 'not needed', None: 'what it is for was not imported'}
    for name, active in compat.active().items():
        yield f'compat.{name}: {words[active]}'


def _requirements() -> Iterator[str]:
    from packaging.requirements import Requirement
    found = metadata.metadata('tvtsv2_mm')
    extras = {*(found.get_all('Provides-Extra') or ())} - {'tests'}
    asked = [Requirement(line) for line in found.get_all('Requires-Dist') or ()]
    wanted: dict[str, tuple[str, Requirement]] = {}
    for extra in ['', *sorted(extras, key=lambda extra: extra == 'all')]:
        for one in asked:
            if one.marker is None or one.marker.evaluate({'extra': extra}):
                wanted.setdefault(one.name, (extra, one))
    there, missing = [], []
    for name, (extra, one) in sorted(wanted.items()):
        try:
            version = metadata.version(name)
            fits = one.specifier.contains(version, prereleases=True)
            there.append(f'{name} {version}' + ('' if fits else f' (NOT {one.specifier})'))
        except metadata.PackageNotFoundError:
            if name not in SERVED or find_spec(SERVED[name]) is None:
                missing.append(f'{name} [{extra}]' if extra else name)
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
    usable = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    yield (f'CPU: {processor()[1]}, {os.cpu_count()} cores, {usable} usable, '
           f'{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}')
    compilers = [os.environ.get('CXX'), 'c++', 'g++', 'clang++', 'cl']
    found = next((name for name in compilers if name and shutil.which(name)), 'none')
    yield f'compile: C++ compiler {found}, triton {find_spec("triton") is not None}'
    from mmengine.utils.dl_utils import collect_env
    told = collect_env()
    yield from (f'{name}: {told[name]}' for name in ('CUDA_HOME', 'NVCC', 'GCC', 'MSVC')
                if name in told)


def _decoders() -> Iterator[str]:
    import numpy as np

    from tvtsv2_mm.preparation.narrated_shapes import render
    from tvtsv2_mm.utils.extras import needed_for
    from tvtsv2_mm.video.source import VideoSource
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, 'grey.mp4')
        grey = np.full((4, 64, 64, 3), 128, np.uint8)  # widths below 64 are not for all decoders
        error = attempt(partial(render.write_video, clip, grey, fps=8))

        def read(reader: str) -> str:
            with needed_for('decoding'):
                opener = resolve_name(f'tvtsv2_mm.video.{reader}')
            if error != 'None':
                return f'imported, not tried: no clip can be written ({error})'
            with closing(opener(VideoSource(str(clip)))) as opened:
                frames = opened.get_frames(range(opened.num_frames))
            right = frames.shape == grey.shape and abs(frames.mean() - 128) < 4
            return 'decodes' if right else f'decodes WRONGLY: {frames.shape} {frames.mean()}'

        for name, reader in (('pyav', 'pyav_reader:PyAVReader'),
                             ('pyav without seeking', 'sequential_reader:SequentialReader'),
                             ('decord', 'decord_reader:DecordReader')):
            yield f'{name}: {attempt(partial(read, reader))}'


def _devices() -> Iterator[str]:
    import torch

    from tvtsv2_mm.models.backbones.space_time_vit import SpaceTimeViT
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
    for kind in kinds:
        told = [f'{name} {attempt(partial(train, torch.device(kind), getattr(torch, name)))}'
                for name in DTYPES]
        yield f'{kind}: {", ".join(told)}'


SECTIONS: dict[str, Callable[[], Iterator[str]]] = {
    'package': _package, 'environment variables': _variables,
    'modules, and what compat.py mends': _modules, 'requirements': _requirements, 'torch': _torch,
    'decoders': _decoders, 'a training step': _devices}


def _tell(seconds: int, sections: list[str]) -> None:
    """Print sections; what others print goes where their errors go."""
    out = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    for section in sections:
        faulthandler.dump_traceback_later(seconds, exit=True)  # starts anew with each
        print(f'[{section}]', file=out, flush=True)
        for line in SECTIONS[section]():
            print(f'  {line}', file=out, flush=True)


def report() -> Iterator[str]:
    """The lines of all sections."""
    # -m puts the current folder first.
    here = os.getcwd()
    path = sys.path[sys.path[0] in ('', here) and here != str(FOLDER.parent):]
    names = [*SECTIONS]
    while names:
        words = [sys.executable, '-I', '-c', _CHILD, json.dumps(path), str(SECONDS), *names]
        with tempfile.TemporaryFile() as errors:
            begun = 0
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors) as child:
                for line in child.stdout or ():
                    begun += line.startswith(b'[')
                    yield line.decode('utf-8', 'replace').rstrip()
            errors.seek(0)
            noise = errors.read().decode('utf-8', 'replace').splitlines()
        if code := child.returncode:
            how = signal.Signals(-code).name if code < 0 else f'status {code}'
            hangs = [place for place, line in enumerate(noise) if line.startswith('Timeout (')]
            told = noise[hangs[0]:][:3] if hangs else noise[-1:]
            yield f'  this section ended with {how} {" ".join(told)}'
        names = names[max(begun, 1):]


def main() -> None:
    """Print the report, the home folder as ~."""
    argparse.ArgumentParser(
        prog='python -m tvtsv2_mm.env',
        description='Print what is installed and what of it works, for bug reports.').parse_args()
    if hasattr(signal, 'SIGPIPE'):  # of `| head`: end without a word, as other programs do
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    home = re.compile(rf'(?<![\w./-]){re.escape(os.path.expanduser("~"))}(?![\w.-])')
    for line in report():
        print(home.sub('~', line), flush=True)


if __name__ == '__main__':
    main()
