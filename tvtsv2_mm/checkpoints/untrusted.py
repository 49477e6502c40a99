"""Read the tensors of torch files from strangers: nothing that such a file names is ever run.

First :mod:`.outline` looks at what a file declares. Then it is read with
``torch.load(weights_only=True)``. Where a file holds objects of classes that are known not to
matter (the code of a TorchScript archive; a class that the user has named), an inert stand-in takes
their place, so that neither their module is imported nor their code run.
"""

import io
import pickle
import shlex
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor
from torch._weights_only_unpickler import _get_allowed_globals, _get_user_allowed_globals
from torch.jit import _pickle as jit_pickle

from .errors import UNREADABLE, CheckpointError, RefusedCheckpointError, reading, reason
from .outline import ZIP_START, DeclaredTensor, Inert, Outline, read_outline

# Modules and functions that only an attack asks for.
_NEVER_NEEDED = ('nt', 'os', 'posix', 'runpy', 'socket', 'subprocess', 'sys', 'builtins.compile',
                 'builtins.eval', 'builtins.exec', 'builtins.open', 'builtins.print',
                 'builtins.__import__')
_SCRIPT_NAMES = '__torch__.'
_MAX_PARTS = 100_000
# What TorchScript writes around lists; each returns its argument.
_SCRIPT_FUNCTIONS = tuple(
    value for name, value in vars(jit_pickle).items() if name.startswith(('build_', 'restore_')))


def load_torch_file(path: str | Path, *, map_location: Any = 'cpu', mmap: bool = False,
                    stand_ins: Iterable[str] = ()) -> Any:
    """Read a file of ``torch.save``, or the state dict of a TorchScript archive.

    Args:
        path: the file.
        map_location: as of ``torch.load``.
        mmap: leave the tensors on disk until they are read, where the file's format allows it. The
            file must then not change while they are in use.
        stand_ins: full names of classes and functions that the file may hold and that are replaced
            by inert stand-ins ('parse_config.ConfigParser'). A module that was saved whole gives
            its state dict.

    Raises:
        FileNotFoundError: there is no such file.
        RefusedCheckpointError: the file needs more than tensors and plain values.
        CheckpointError: the file is damaged, or declares more than it holds.
    """
    path, command = Path(path), ''
    with reading(path), path.open('rb') as file:
        try:
            return _load(file, tuple(stand_ins), map_location, path if mmap else None)
        except CheckpointError as error:
            if len(error.args) > 1:
                command = '\n  python tools/convert_checkpoint.py ' + shlex.join(
                    [str(path), 'weights.safetensors', '--stand-in', *error.args[1]])
            raise type(error)(f'{path}{UNREADABLE}: {error.args[0]}{command}') from error


def check_torch_file(file: BinaryIO) -> None:
    """Look whether a file, or a part of one, holds what it declares, and nothing but tensors.

    Raises:
        CheckpointError: it does not.
        Exception: whatever damaged bytes make of a pickle or an archive.
    """
    with torch.serialization.safe_globals(_allowed_in_checkpoints()):
        _check_names(read_outline(file), ())
    file.seek(0)


def check_sums(file: BinaryIO) -> None:
    """Compare a file of ``torch.save``, or a part of one, with the checksums in it.

    torch writes them, and never looks. Files of before torch 1.6 have none.

    Raises:
        CheckpointError: it is not what was written, or holds no tensors.
        Exception: whatever damaged bytes make of a pickle or an archive.
    """
    check_torch_file(file)
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise CheckpointError(f'it is damaged: {damaged} is not what was written')
    # torch refuses what Python's reader overlooks, and takes four times as long to read all.
    file.seek(0)
    reader = torch._C.PyTorchFileReader(file)
    for name in reader.get_all_records():
        reader.get_record_offset(name)  # pyrefly: ignore[missing-attribute]


def _load(file: BinaryIO, stand_ins: tuple[str, ...], map_location: Any, mmap: Path | None) -> Any:
    zipped = file.read(4) == ZIP_START
    outline = read_outline(file)
    names = [*stand_ins]
    source: Any = file
    if outline.script:
        names += [name for name in outline.names if name.startswith(_SCRIPT_NAMES)]
        source = _without_code(file)
    elif zipped and mmap is not None and mmap.suffix != '.safetensors':  # torch goes by that name
        source = mmap
    with torch.serialization.safe_globals([*((Inert, name) for name in names), *_SCRIPT_FUNCTIONS,
                                           *_allowed_in_checkpoints()]):
        _check_names(outline, stand_ins)
        file.seek(0)
        try:
            loaded = torch.load(
                source, map_location=map_location, mmap=source is mmap, weights_only=True)
        except pickle.UnpicklingError as error:
            raise RefusedCheckpointError(reason(error)) from error
    _leave_out_what_mmengine_obeys(loaded)
    return dict(_tensors(loaded)) if isinstance(loaded, Inert) else loaded


def _leave_out_what_mmengine_obeys(checkpoint: Any) -> None:
    """Take out what a file must not decide when a run resumes from it.

    ``Runner.resume`` runs the text ``meta.config`` (written by mmcv 1) as Python, and
    CheckpointHook deletes the file or folder that the message hub calls ``best_ckpt``, and those
    whose names have one of ``keep_ckpt_ids``, which are numbers.
    """
    meta, hub = (_within(checkpoint, name) for name in ('meta', 'message_hub'))
    for entries, obeyed in ((meta, ('config', )),
                            (_within(hub, 'runtime_info'), ('best_ckpt', 'keep_ckpt_ids'))):
        for name, value in [*entries.items()]:
            numbers = (str(name).startswith('keep_ckpt_ids') and isinstance(value, list)
                       and all(type(number) is int for number in value))
            if str(name).startswith(obeyed) and not numbers:
                del entries[name]


def _within(entries: Any, name: str) -> dict:
    found = entries.get(name) if isinstance(entries, dict) else None
    return found if isinstance(found, dict) else {}


def _allowed_in_checkpoints() -> list[Any]:
    """What mmengine's message hub and schedulers put in a checkpoint beside tensors."""
    # numpy 1 and 2 keep these two under different names; a checkpoint of either is readable.
    rebuilders: list[Any] = [value.__reduce__()[0] for value in (np.zeros(1), np.float64(0))]
    return [
        HistoryBuffer,
        (_history_buffer_method, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(kind)) for kind in (bool, np.int32, np.int64, np.float32, np.float64)},
        *((rebuild, f'numpy.{core}.multiarray.{rebuild.__name__}')
          for rebuild in rebuilders for core in ('core', '_core')),
    ]


def _history_buffer_method(owner: Any, name: str) -> Callable[..., Any]:
    """All of ``getattr`` that a checkpoint of mmengine needs: a buffer pickles its statistics."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise ValueError(f'the checkpoint asks for the attribute {name!r} of {owner!r}, which no '
                         'checkpoint needs: do not trust this file')
    return getattr(HistoryBuffer, name)


def _check_names(outline: Outline, stand_ins: Sequence[str]) -> None:
    found = sorted(outline.names - {*_get_allowed_globals(), *_get_user_allowed_globals()})
    if not found:
        return
    message = f'besides tensors it holds {", ".join(found)}'
    harmful = [name for name in found if {name, name.split('.')[0]} & {*_NEVER_NEEDED}]
    if harmful:
        raise RefusedCheckpointError(f'{message}. No checkpoint needs {", ".join(harmful)}: do not '
                                     'trust this file')
    if not _holds_tensors(outline.content):
        raise RefusedCheckpointError(f'{message}, and no plain names and tensors: save its '
                                     'state_dict() where its code is')
    raise RefusedCheckpointError(
        f'{message}. Its weights can be taken without them (inert stand-ins take their place, '
        'nothing is imported or run):', sorted({*stand_ins, *found}))


def _holds_tensors(content: Any, depth: int = 3) -> bool:
    """Whether there are names and tensors, in dictionaries or in a module that was saved whole."""
    if isinstance(content, Inert):
        return any(True for _ in _tensors(content))
    if not isinstance(content, Mapping):
        return False
    return any(isinstance(value, DeclaredTensor) or (depth and _holds_tensors(value, depth - 1))
               for value in content.values())


def _without_code(file: BinaryIO) -> io.BytesIO:
    """Copy a TorchScript archive's data, without its code, into one that ``torch.load`` reads."""
    copy = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(copy, 'w') as target:
        root = next(name for name in archive.namelist() if name.endswith('/constants.pkl'))
        root = root.removesuffix('constants.pkl')
        for name in archive.namelist():
            kept = name.removeprefix(root)
            if kept.startswith('data/') or kept in ('data.pkl', 'version', 'byteorder'):
                target.writestr(name, archive.read(name))
    copy.seek(0)
    return copy


def _tensors(module: Inert) -> Iterator[tuple[str, Tensor | DeclaredTensor]]:
    """The tensors of a saved module and its children, by the names of a state dict."""
    waiting: list[tuple[str, Any]] = [('', module)]
    for _ in range(_MAX_PARTS):  # modules may hold each other
        if not waiting:
            return
        name, part = waiting.pop()
        if isinstance(part, Tensor | DeclaredTensor):
            yield name, part
        elif isinstance(part, Inert) and isinstance(part.state, dict):
            waiting += [(f'{name}.{key}' if name else key, value)
                        for key, value in reversed([*_parts(part.state)])]
    raise CheckpointError('it is damaged: its modules hold each other')


def _parts(state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if '_parameters' not in state:  # TorchScript has them by name
        yield from state.items()
        return
    passing = state.get('_non_persistent_buffers_set') or ()
    yield from state['_parameters'].items()
    yield from ((key, value) for key, value in state.get('_buffers', {}).items()
                if key not in passing)
    yield from state.get('_modules', {}).items()
