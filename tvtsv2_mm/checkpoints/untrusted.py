"""Read the tensors of torch files from strangers: nothing that such a file names is ever run.

All reading is ``torch.load(weights_only=True)``. Where a file holds objects of classes that are
known not to matter (the code of a TorchScript archive; a class that the user has named), an inert
stand-in takes their place, so that neither their module is imported nor their code run.
"""

import io
import pickle
import pickletools
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.jit import _pickle as jit_pickle

from tvtsv2_mm import compat

from .convert import CheckpointError

# Modules and functions that only an attack asks for.
_NEVER_NEEDED = ('nt', 'os', 'posix', 'runpy', 'socket', 'subprocess', 'sys', 'builtins.compile',
                 'builtins.eval', 'builtins.exec', 'builtins.open', 'builtins.print',
                 'builtins.__import__')
_SCRIPT_NAMES = '__torch__.'
# What TorchScript writes around lists; each returns its argument.
_SCRIPT_FUNCTIONS = tuple(
    value for name, value in vars(jit_pickle).items() if name.startswith(('build_', 'restore_')))


class RefusedCheckpointError(CheckpointError, pickle.UnpicklingError):
    """A checkpoint needs more than ``weights_only=True`` allows."""


class StandIn:
    """Takes the place of an object whose class must not be used; keeps its state, does nothing."""

    __slots__ = ('state', )

    def __new__(cls, *args: Any) -> 'StandIn':
        """Take any arguments and forget them."""
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def load_torch_file(path: str | Path, *, map_location: Any = 'cpu', mmap: bool = False,
                    stand_ins: Iterable[str] = ()) -> Any:
    """Read a file of ``torch.save``, or the state dict of a TorchScript archive.

    Args:
        path: the file.
        map_location: as of ``torch.load``.
        mmap: leave the tensors on disk until they are read, where the file's format allows it. The
            file must then not change while they are in use.
        stand_ins: full names of classes and functions that the file may hold and that are replaced
            by inert stand-ins ('parse_config.ConfigParser').

    Raises:
        FileNotFoundError: there is no such file.
        RefusedCheckpointError: the file needs more than tensors and plain values.
        CheckpointError: the file is damaged.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'there is no checkpoint {path}')
    names = list(stand_ins)
    source: Any = path
    try:
        zipped = zipfile.is_zipfile(path)
        script = zipped and _is_script(path)
        if script:
            source, script_names = _without_code(path)
            names += script_names
        with torch.serialization.safe_globals([
                *((StandIn, name) for name in names), *_SCRIPT_FUNCTIONS]):
            loaded = compat.load_with_allow_list(
                torch.load, source, map_location=map_location,
                mmap=mmap and zipped and not script)
    except pickle.UnpicklingError as error:
        raise RefusedCheckpointError(_refusal(path, names, error)) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError,
            TypeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f'{path} cannot be read as a checkpoint: {error}') from error
    return dict(_tensors(loaded)) if script else loaded


def _is_script(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.count('/') == 1 and name.endswith('/constants.pkl')
                   for name in archive.namelist())


def _without_code(path: Path) -> tuple[io.BytesIO, list[str]]:
    """Copy a TorchScript archive's data, without its code, into one that ``torch.load`` reads.

    Returns:
        The copy, and the names of the archive's own classes.
    """
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, 'w') as target:
        root = next(name for name in archive.namelist() if name.endswith('/constants.pkl'))
        root = root.removesuffix('constants.pkl')
        pickled = archive.read(f'{root}data.pkl')
        target.writestr(f'{root}data.pkl', pickled)
        for name in archive.namelist():
            kept = name.removeprefix(root)
            if kept.startswith('data/') or kept in ('version', 'byteorder'):
                target.writestr(name, archive.read(name))
    copy.seek(0)
    found = {argument.replace(' ', '.') for operation, argument, _ in pickletools.genops(pickled)
             if operation.name == 'GLOBAL'}
    return copy, sorted(name for name in found if name.startswith(_SCRIPT_NAMES))


def _tensors(module: Any, prefix: str = '') -> Iterator[tuple[str, Tensor]]:
    """The tensors of an archived module and its children, by the names of a state dict."""
    if not isinstance(module, StandIn) or not isinstance(module.state, dict):
        return
    for name, value in module.state.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        else:
            yield from _tensors(value, f'{prefix}{name}.')


def _refusal(path: Path, names: Sequence[str], error: Exception) -> str:
    """Say what is refused, and how the weights can be had nevertheless."""
    message = f'{path} cannot be read as a checkpoint with weights_only=True'
    found: list[str] = []
    if zipfile.is_zipfile(path) and not _is_script(path):
        allowed = [*compat.allowed_in_checkpoints(), *((StandIn, name) for name in names)]
        with torch.serialization.safe_globals(allowed):
            found = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    if not found:
        return f'{message}: {error}'
    message += f': besides tensors it holds {", ".join(found)}'
    harmful = [name for name in found if {name, name.split('.')[0]} & {*_NEVER_NEEDED}]
    if harmful:
        return f'{message}. No checkpoint needs {", ".join(harmful)}: do not trust this file'
    options = ' '.join(f'--stand-in {name}' for name in found)
    return (f'{message}. Its weights can be taken without them (inert stand-ins take their place, '
            f'nothing is imported or run):\n  python tools/convert_checkpoint.py {path} '
            f'weights.safetensors {options}')
