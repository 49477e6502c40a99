"""Sharded checkpoints: folders of ``torch.distributed.checkpoint``, written by all ranks at once.

    FOLDER/.metadata          which tensors there are, and which part of each lies where
    FOLDER/__<rank>_0.distcp  the parts that a rank wrote
    FOLDER/run_state.pth      what is no tensor: epoch, schedulers, log, hyperparameters

torch reads the first with ``pickle.load``, and what is no tensor with ``weights_only=False``. Here
only the few classes that a table of tensors is made of are let in, and everything else is read
with ``weights_only=True``.
"""

import os
import pickle
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed.checkpoint as dcp
from mmengine.dist import is_distributed
from torch import Tensor
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    _MEM_FORMAT_ENCODING,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import SavePlan

from .convert import CheckpointError
from .untrusted import RefusedCheckpointError, load_torch_file

METADATA = '.metadata'
RUN_STATE = 'run_state.pth'

_ALLOWED = {
    **{(kind.__module__, kind.__name__): kind
       for kind in (Metadata, MetadataIndex, StorageMeta, TensorProperties, TensorStorageMetadata,
                    ChunkStorageMetadata, _MEM_FORMAT_ENCODING, _StorageInfo, torch.Size)},
    **{('torch', name): kind for name, kind in vars(torch).items()
       if isinstance(kind, torch.dtype)},
    ('torch.serialization', '_get_layout'): torch.serialization._get_layout,
}


def is_sharded(path: str | Path) -> bool:
    """Whether this is the folder of a sharded checkpoint, be it whole or not."""
    path = Path(path).expanduser()
    return path.is_dir() and ((path / METADATA).exists() or any(path.glob('*.distcp')))


def files_of_sharded(folder: Path) -> list[Path]:
    """The files with the tensors and their table.

    Raises:
        CheckpointError: the folder is damaged or incomplete.
    """
    places = read_metadata(folder).storage_data.values()
    return [folder / METADATA, *(folder / name for name in sorted(
        {place.relative_path for place in places}))]


def read_sharded(folder: Path) -> dict[str, Tensor]:
    """Put the model's weights together, on the CPU, in the memory of one copy.

    Raises:
        RefusedCheckpointError: the table of tensors holds something else.
        CheckpointError: the folder is damaged or incomplete, or of another program.
    """
    metadata = read_metadata(folder)
    weights = {
        name.removeprefix('state_dict.'): torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in metadata.state_dict_metadata.items() if name.startswith('state_dict.')
    }
    if not weights:
        raise CheckpointError(f'{folder} holds no weights of a model (state_dict.*); it has '
                              f'{", ".join(list(metadata.state_dict_metadata)[:8])}')
    load_into(folder, dict(state_dict=weights), metadata, alone=True)
    return weights


def load_into(folder: Path, tensors: dict[str, Any], metadata: Metadata, *,
              alone: bool = False) -> None:
    """Fill tensors, plain or sharded in any way, from a checkpoint.

    Args:
        folder: the checkpoint.
        tensors: nested as they were saved; a part of them is enough.
        metadata: the checkpoint's, see :func:`read_metadata`.
        alone: this process reads for itself, though there may be others.

    Raises:
        CheckpointError: the folder is damaged, or the sizes differ.
    """
    with _one_error(f'{folder} cannot be read as a checkpoint', CheckpointError):
        dcp.load(tensors, storage_reader=_Reader(folder, metadata), planner=_TensorsOnly(),
                 no_dist=alone or not is_distributed())


def read_run_state(folder: Path) -> dict[str, Any]:
    """What a checkpoint holds beside tensors.

    Raises:
        CheckpointError: the file is missing, damaged, or needs more than ``weights_only=True``.
    """
    if not (folder / RUN_STATE).is_file():
        raise CheckpointError(f'{folder} is incomplete: it has no {RUN_STATE}')
    return load_torch_file(folder / RUN_STATE)


def save_sharded(folder: Path, tensors: dict[str, Any], run_state: Mapping[str, Any]) -> None:
    """Write a checkpoint; call it on every rank. Under its name it is whole or not there.

    Args:
        folder: where, on a file system that all ranks see. What is there is replaced.
        tensors: nested by names, each tensor plain (the same on all ranks) or sharded.
        run_state: what else there is; that of rank 0 is written.

    Raises:
        OSError: it could not be written.
    """
    with _one_error(f'{folder} could not be saved', OSError):
        dcp.save(tensors, storage_writer=_Writer(folder, run_state), no_dist=not is_distributed())


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
    except pickle.UnpicklingError as error:
        raise RefusedCheckpointError(f'{path} cannot be read: {error}') from error
    except Exception as error:  # whatever damaged bytes make of a pickle
        raise CheckpointError(f'{path} is damaged: {error!r}') from error
    if not isinstance(metadata, Metadata) or not _holds(
            metadata.state_dict_metadata, TensorStorageMetadata) or not _holds(
                metadata.storage_data, _StorageInfo):
        raise RefusedCheckpointError(f'{path} is no table of tensors')
    _check_files(folder, metadata.storage_data)
    return metadata


def _holds(table: Any, kind: type) -> bool:
    return isinstance(table, dict) and all(isinstance(value, kind) for value in table.values())


def _check_files(folder: Path, places: Mapping[MetadataIndex, _StorageInfo]) -> None:
    ends: dict[str, int] = {}
    for place in places.values():
        name = place.relative_path
        if Path(name).name != name or place.transform_descriptors:
            raise RefusedCheckpointError(f'{folder / METADATA} names a file outside its folder, or '
                                         f'one that is not of this kind: {name}')
        ends[name] = max(ends.get(name, 0), place.offset + place.length)
    for name, end in ends.items():
        if not (folder / name).is_file():
            raise CheckpointError(f'{folder} is incomplete: it has no {name}')
        if (folder / name).stat().st_size < end:
            raise CheckpointError(f'{folder} is incomplete: {name} is cut off')


class _MetadataUnpickler(pickle.Unpickler):
    """Lets nothing in but the classes of a table of tensors: none of them does anything."""

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


class _TensorsOnly(DefaultLoadPlanner):

    def load_bytes(self, read_item: Any, value: Any) -> NoReturn:
        raise CheckpointError(f'{read_item.dest_index.fqn} is no tensor')


class _Writer(FileSystemWriter):
    """Writes into a folder beside, which gets its name when all is in it."""

    def __init__(self, folder: Path, run_state: Mapping[str, Any]) -> None:
        super().__init__(folder.with_name(f'.{folder.name}.part'))
        self._folder = folder
        self._run_state = run_state

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """On one rank, before any writes: take away what a killed run left."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        return super().prepare_global_plan(plans)

    def finish(self, **results: Any) -> None:
        """On one rank, after all have written."""
        with (self.path / RUN_STATE).open('wb') as file:
            torch.save(dict(self._run_state), file)
            file.flush()
            os.fsync(file.fileno())
        super().finish(**results)
        before = self._folder.with_name(f'.{self._folder.name}.before')
        _remove(before)
        if self._folder.exists():
            self._folder.replace(before)
        self.path.replace(self._folder)
        _remove(before)

    def storage_meta(self) -> StorageMeta:
        """Without the folder's path, which means nothing elsewhere."""
        return StorageMeta()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _one_error(message: str, kind: type[Exception]) -> Iterator[None]:
    """Make an ordinary error of torch's, which is no ``Exception`` and lists those of all ranks."""
    try:
        with warnings.catch_warnings():
            # That there is one process is no reason to warn.
            warnings.filterwarnings('ignore', message='torch.distributed is disabled')
            yield
    except CheckpointException as error:
        first = next(iter(error.failures.values()))[0]
        raise kind(f'{message}: {first}') from error
