"""Sharded checkpoints: folders of ``torch.distributed.checkpoint``, written by all ranks at once.

    FOLDER/.metadata          which tensors there are, and which part of each lies where
    FOLDER/__<rank>_0.distcp  the parts that a rank wrote
    FOLDER/run_state.pth      what is no tensor: epoch, schedulers, log, hyperparameters, what no
                              tensor tells of the model (:mod:`.description`), and a hash of the
                              table

torch reads the first with ``pickle.load``, and what is no tensor with ``weights_only=False``. Here
only the few classes that a table of tensors is made of are let in, everything else is read with
``weights_only=True``, and no memory is taken before all sizes are compared with the files.
"""

import io
import math
import os
import pickle
import shutil
import warnings
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, cast

import torch
import torch.distributed.checkpoint as dcp
from mmengine.dist import is_distributed
from torch import Tensor
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystem, _StorageInfo
from torch.distributed.checkpoint.metadata import (
    _MEM_FORMAT_ENCODING,
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from tvtsv2_mm.utils.files import open_to_save, put_in_place, sync, writing

from .description import RECORD, metadata_of, with_metadata
from .entries import some, take_weights
from .errors import UNREADABLE, CheckpointError, RefusedCheckpointError, naming, reading
from .untrusted import check_sums, check_torch_file, load_torch_file

METADATA = '.metadata'
RUN_STATE = 'run_state.pth'
_TABLE_HASH = 'metadata_sha256'
_BEFORE = '.before'  # of what is about to be replaced
# In a table, the path at which torch saved becomes None: it means nothing elsewhere.
_ALLOWED = {
    **{(kind.__module__, kind.__name__): kind
       for kind in (Metadata, MetadataIndex, StorageMeta, TensorProperties, TensorStorageMetadata,
                    BytesStorageMetadata, ChunkStorageMetadata, _MEM_FORMAT_ENCODING, _StorageInfo,
                    torch.Size)},
    **{(module, name): lambda *_: None for module in ('pathlib', 'pathlib._local')
       for name in ('PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath')},
    **{('torch', name): kind for name, kind in vars(torch).items()
       if isinstance(kind, torch.dtype)},
    ('torch.serialization', '_get_layout'): torch.serialization._get_layout,
}


def is_sharded(path: str | Path) -> bool:
    """Whether this is the folder of a sharded checkpoint, be it whole or not."""
    path = Path(path).expanduser()
    return path.is_dir() and ((path / METADATA).exists() or any(path.glob('*.distcp')))


def read_sharded(folder: Path, weights: str | None = None) -> tuple[dict[str, Tensor], dict | None]:
    """Put the model's weights together, on the CPU, in the memory of one copy.

    Args:
        folder: of this package (``state_dict.*``), or of any program that calls ``dcp.save``.
        weights: as in :func:`.entries.take_weights`; so is what is returned, with what is known of
            the model, but for ``state_dict.*`` of no known layout, which has no report.

    Raises:
        RefusedCheckpointError: the table of tensors holds something else.
        CheckpointError: the folder is damaged or incomplete, or has no weights of a model.
    """
    metadata = read_metadata(folder)
    entries = tensor_entries(metadata)
    shapes = {name: torch.empty(entry.size, dtype=entry.properties.dtype, device='meta')
              for name, entry in entries.items()}
    state = read_run_state(folder) if (folder / RUN_STATE).is_file() else {}
    taken, report = take_weights(_nested(shapes, state), weights=weights) or (
        {name.removeprefix('state_dict.'): shape for name, shape in shapes.items()
         if name.startswith('state_dict.')}, None)
    if not taken or (report is None and weights is not None):
        raise CheckpointError(f'{folder} holds no weights of a model of a known layout; it has '
                              f'{some([*entries])}')
    own = {id(shape): name for name, shape in shapes.items()}
    tensors = {name: torch.empty(shape.shape, dtype=shape.dtype) for name, shape in taken.items()}
    load_into(folder, {own[id(taken[name])]: tensor for name, tensor in tensors.items()}, metadata,
              alone=True)
    others = sorted({place.fqn for place in metadata.storage_data} - entries.keys())
    if report is not None and others:
        report['dropped'][some(others)] = 'no tensors'
    return with_metadata(tensors, _told(state)), report


def _nested(shapes: dict[str, Tensor], state: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the file of a plain run would hold; a folder of another program is left as it is."""
    if not state:
        return shapes
    content: dict[str, dict[str, Tensor]] = {}
    for name, shape in shapes.items():
        entry, _, rest = name.partition('.')
        content.setdefault(entry, {})[rest] = shape
    return {**state, **content}


def load_into(folder: Path, tensors: dict[str, Any], metadata: Metadata, *,
              alone: bool = False) -> None:
    """Fill tensors, plain or sharded in any way, from a checkpoint.

    Args:
        folder: the checkpoint.
        tensors: nested as they were saved; a part of them is enough.
        metadata: of :func:`read_metadata`.
        alone: this process reads for itself, though there may be others.

    Raises:
        CheckpointError: the folder is damaged, or the sizes differ.
    """
    with reading(folder), _one_error(f'{folder}{UNREADABLE}', CheckpointError):
        dcp.load(tensors, storage_reader=_Reader(folder, metadata), planner=_TensorsOnly(),
                 no_dist=alone or not is_distributed())


def read_run_state(folder: Path) -> dict[str, Any]:
    """What a checkpoint holds beside tensors.

    Raises:
        CheckpointError: the file is missing, damaged, or needs more than ``weights_only=True``.
    """
    state = _run_state(folder)
    state.pop(_TABLE_HASH, None)
    return state


def _run_state(folder: Path) -> dict[str, Any]:
    if not (folder / RUN_STATE).is_file():
        raise CheckpointError(f'{folder} is incomplete: it has no {RUN_STATE}')
    state = load_torch_file(folder / RUN_STATE)
    if not isinstance(state, dict):
        raise CheckpointError(f'{folder / RUN_STATE} is damaged: it holds no names and values')
    return state


def check_sharded(folder: Path) -> None:
    """Compare a checkpoint that :func:`save_sharded` wrote with its checksums.

    Raises:
        CheckpointError: it is incomplete, or not what was written.
    """
    places = read_metadata(folder).storage_data.values()
    known = _run_state(folder).get(_TABLE_HASH)
    for name in (RUN_STATE, *sorted({place.relative_path for place in places})):
        parts = [place for place in places if place.relative_path == name]
        with naming(folder / name), (folder / name).open('rb') as file:
            if not parts:
                check_sums(file)
            for place in parts:
                file.seek(place.offset)
                check_sums(io.BytesIO(file.read(place.length)))
    if known not in (None, sha256((folder / METADATA).read_bytes()).hexdigest()):
        raise CheckpointError(f'{folder / METADATA} is damaged: it is not what was written')


def restore_sharded(folder: Path) -> None:
    """Put back what a killed run was about to replace, in this folder of checkpoints."""
    for before in folder.glob(f'.*{_BEFORE}'):
        name = before.with_name(before.name[1:].removesuffix(_BEFORE))
        if name.exists():
            _remove(before)
        else:
            os.replace(before, name)


def save_sharded(folder: Path, tensors: dict[str, Any], run_state: Mapping[str, Any]) -> None:
    """Write a checkpoint; call it on every rank. Under its name it is whole or not there.

    Args:
        folder: where, on a file system that all ranks see. What is there is replaced.
        tensors: nested by names, each tensor plain (the same on all ranks) or sharded.
        run_state: what else there is; that of rank 0 is written, with what the metadata of
            ``tensors['state_dict']`` tell of the model.

    Raises:
        OSError: it could not be written; on every rank.
    """
    run_state = {**run_state, **_told(metadata_of(tensors.get('state_dict')))}
    with writing(folder), _one_error(f'{folder} could not be saved', OSError):
        dcp.save(tensors, storage_writer=_Writer(folder, run_state), no_dist=not is_distributed())


def _told(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {RECORD: entries[RECORD]} if RECORD in entries else {}


def tensor_entries(metadata: Metadata) -> dict[str, TensorStorageMetadata]:
    """The tensors of a table, by name; :func:`read_metadata` leaves nothing else in it."""
    return cast(dict[str, TensorStorageMetadata], metadata.state_dict_metadata)


def read_metadata(folder: Path) -> Metadata:
    """Read the table of tensors, and look whether the files that it names are there.

    Raises:
        RefusedCheckpointError: the table holds something else than tensors and their places.
        CheckpointError: the folder is damaged or incomplete.
    """
    path = folder / METADATA
    if not path.is_file():
        raise CheckpointError(f'{folder} is incomplete: it has no {METADATA}, which is written '
                              'last. Take an earlier checkpoint')
    try:
        with path.open('rb') as file:
            metadata = _MetadataUnpickler(file).load()
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError('it is no table of tensors')
        _check_files(folder, metadata.storage_data)
        _check_sizes(metadata)
    except pickle.UnpicklingError as error:
        raise RefusedCheckpointError(f'{path} cannot be read: {error}') from error
    except CheckpointError:
        raise
    except Exception as error:  # whatever damaged bytes make of a pickle
        raise CheckpointError(f'{path} is damaged: {error!r:.200}') from error
    return metadata


def _check_files(folder: Path, places: Mapping[MetadataIndex, _StorageInfo]) -> None:
    ends: dict[str, int] = {}
    total = 0
    for place in places.values():
        name, start, length = place.relative_path, _count(place.offset), _count(place.length)
        if Path(name).name != name or getattr(place, 'transform_descriptors', None):
            raise RefusedCheckpointError(f'{folder / METADATA} names a file outside its folder, or '
                                         f'one that is not of this kind: {name:.200}')
        ends[name] = max(ends.get(name, 0), start + length)
        total += length
    for name, end in ends.items():
        if not (folder / name).is_file():
            raise CheckpointError(f'{folder} is incomplete: it has no {name}')
        size = (folder / name).stat().st_size
        if size < end:
            raise CheckpointError(f'{folder} is incomplete: {name} is cut off ({size} of {end} '
                                  'bytes)')
    if total > sum(ends.values()):
        raise CheckpointError(f'{folder / METADATA} gives one place to several tensors')


def _check_sizes(metadata: Metadata) -> None:
    """Compare the declared sizes with the places of tensors, and leave out what is no tensor."""
    there: Counter[str] = Counter()
    for index, place in metadata.storage_data.items():
        there[index.fqn] += place.length
    # Torch would read what is no tensor as any pickle.
    metadata.state_dict_metadata = {name: entry for name, entry in (
        metadata.state_dict_metadata.items()) if not isinstance(entry, BytesStorageMetadata)}
    for name, entry in tensor_entries(metadata).items():
        numel, parts = math.prod(_count(n) for n in entry.size), 0
        for chunk in entry.chunks:
            parts += math.prod(_count(n) for n in chunk.sizes)
            if any(_count(start) + n > whole for start, n, whole in zip(
                    chunk.offsets, chunk.sizes, entry.size, strict=True)):
                raise CheckpointError(f'{METADATA} is damaged: a part of {name:.200} is outside it')
        if numel != parts or numel * entry.properties.dtype.itemsize > there[name]:
            raise CheckpointError(f'{METADATA} is damaged: {name:.200} is declared with {numel} '
                                  f'values, has {parts} in its parts and {there[name]} bytes on '
                                  'disk')


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f'{value!r:.50} is no size')
    return value


class _MetadataUnpickler(pickle._Unpickler):
    """Lets nothing in but the classes of a table of tensors: none of them does anything.

    The unpickler in C would allocate by numbers in the file.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f'it holds {module}.{name}, which no table of tensors needs: do not trust this '
                'folder')
        return _ALLOWED[module, name]


class _Reader(FileSystemReader):
    """Uses metadata that were read with care."""

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        super().__init__(folder)
        self._metadata = metadata

    def read_metadata(self) -> Metadata:
        return self._metadata

    def _slice_file(self, file: Any, sinfo: _StorageInfo) -> Any:
        """A part of a file, each a file of ``torch.save``: not before it is looked at."""
        part = io.BytesIO(super()._slice_file(file, sinfo).read(sinfo.length))
        check_torch_file(part)
        return part


class _TensorsOnly(DefaultLoadPlanner):

    def load_bytes(self, read_item: Any, value: Any) -> NoReturn:
        raise CheckpointError(f'{read_item.dest_index.fqn} is no tensor')


class _Writer(FileSystemWriter):
    """Writes into a folder beside, which gets its name when all is in it."""

    def __init__(self, folder: Path, run_state: Mapping[str, Any]) -> None:
        self._part = folder.with_name(f'.{folder.name}.part')  # on all ranks the same
        super().__init__(self._part)
        self.fs = _Files()
        self._folder = folder
        self._run_state = run_state

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """On one rank, before any writes: take away what a killed run left."""
        shutil.rmtree(self._part, ignore_errors=True)
        self._part.mkdir(parents=True)
        return super().prepare_global_plan(plans)

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """On every rank, of which one may not see yet what another has made."""
        self._part.mkdir(parents=True, exist_ok=True)
        return super().write_data(plan, planner)

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """On one rank, after all have written."""
        super().finish(metadata, results)
        known = {_TABLE_HASH: sha256((self._part / METADATA).read_bytes()).hexdigest()}
        with open_to_save(self._part / RUN_STATE) as file:
            torch.save({**self._run_state, **known}, file)
            os.fsync(file.fileno())
        sync(self._part)
        before = self._folder.with_name(f'.{self._folder.name}{_BEFORE}')
        _remove(before)
        if self._folder.exists():
            os.replace(self._folder, before)  # a kill before the next line: restore_sharded
        put_in_place(self._part, self._folder)
        _remove(before)

    def storage_meta(self) -> StorageMeta:
        """Without the folder's path, which means nothing elsewhere."""
        return StorageMeta()


class _Files(FileSystem):

    @contextmanager
    def create_stream(self, path: Any, mode: str) -> Generator[Any]:
        with (open_to_save(Path(path)) if mode == 'wb' else
              super().create_stream(path, mode)) as stream:
            yield stream


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _one_error(message: str, kind: type[Exception]) -> Generator[None]:
    """Make an ordinary error of torch's, which is no ``Exception`` and lists those of all ranks."""
    try:
        with warnings.catch_warnings():
            # That there is one process is no reason to warn.
            warnings.filterwarnings('ignore', message='torch.distributed is disabled')
            yield
    except CheckpointException as error:
        first = next(iter(error.failures.values()))[0]
        raise kind(f'{message}: {str(first) or repr(first)}') from first
