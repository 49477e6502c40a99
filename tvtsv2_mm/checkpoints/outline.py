"""What a torch file declares, looked at before any of it is loaded.

``torch.load(weights_only=True)`` runs nothing that a file names, but it believes what the file says
of sizes: it inflates compressed members and allocates what a pickle declares. Here the pickle is
read with inert objects in all places, by Python's own unpickler (the one in C allocates by numbers
in the file), and the declared storages are compared with the bytes that are there.
"""

import _compat_pickle
import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import torch

from .errors import CheckpointError

ZIP_START = b'PK\x03\x04'
# A directory of an archive that is larger lists more tensors than a model has (about 100 bytes
# each), and would take many times its size in memory.
_MAX_DIRECTORY = 10 * 2**20
_LEGACY_MAGIC = 0x1950a86a20f9469cfc6c
_ITEM_SIZES = {name: dtype.itemsize
               for name, dtype in torch.storage._storage_type_to_dtype_map().items()}
_ITEM_SIZES |= {'UntypedStorage': 1}
# Where all tensors of a file together are larger than so many times the file, they share memory in
# a way that tied weights do not.
_MAX_SHARING = 4


class Inert:
    """Stands for any object that a pickle asks for; keeps its state, does nothing."""

    state: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> 'Inert':
        """Take any arguments and forget them."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forget an item of what would be a dictionary."""

    def append(self, value: Any) -> None:
        """Forget an item of what would be a list; ``extend`` forgets several."""

    extend = append


class DeclaredTensor:
    """Stands for a tensor."""


@dataclass(frozen=True)
class _Storage:
    numel: int
    item_size: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.item_size


@dataclass
class Outline:
    """What a torch file declares."""

    content: Any = None  # what it holds, with Inert and DeclaredTensor objects
    names: set[str] = field(default_factory=set)  # of the classes and functions that it asks for
    storages: dict[str, _Storage] = field(default_factory=dict)
    tensor_bytes: int = 0  # of all its tensors, each counted
    script: bool = False  # whether it is a TorchScript archive


def read_outline(file: BinaryIO) -> Outline:
    """Read what a torch file declares, and compare it with what is there.

    Args:
        file: the file, open and at its start. It may be a part of another.

    Raises:
        CheckpointError: the file declares more than it holds, or something that no weights need.
        Exception: whatever damaged bytes make of a pickle or an archive.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    zipped = file.read(4) == ZIP_START
    file.seek(0)
    outline = _of_archive(file, size) if zipped else _of_legacy_file(file, size)
    if outline.tensor_bytes > _MAX_SHARING * size:
        raise CheckpointError(f'its tensors declare {outline.tensor_bytes} bytes, and the file has '
                              f'{size}')
    return outline


def _of_archive(file: BinaryIO, size: int) -> Outline:
    end = zipfile._EndRecData(file)  # pyrefly: ignore  # the stub leaves it out
    if end is None:
        raise _cut_archive(file, size)
    if end[zipfile._ECD_SIZE] > _MAX_DIRECTORY:
        raise CheckpointError('its archive has more members than a checkpoint has')
    with zipfile.ZipFile(file) as archive:
        members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            if members.setdefault(member.filename, member) is not member:
                raise CheckpointError(f'its archive has {member.filename} twice')
        pickled = [name for name in members if name.count('/') == 1 and name.endswith('/data.pkl')]
        if len(pickled) != 1:
            raise CheckpointError('it is a zip archive, but not one of torch.save. It has '
                                  f'{", ".join([*members][:8])[:200] or "nothing"}: unpack it, and '
                                  'give the file of weights in it')
        root = pickled[0].removesuffix('data.pkl')
        script = f'{root}constants.pkl' in members
        # Only the code of TorchScript archives is compressed, and that is never read.
        read = [member for name, member in members.items()
                if not (script and name.startswith((f'{root}code/', f'{root}extra/')))]
        for member in read:
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise CheckpointError(f'its member {member.filename} is compressed or encrypted, '
                                      'which torch.save never does: unpack it and save the '
                                      'weights again')
        if sum(member.file_size for member in read) > size:
            raise CheckpointError('the members of its archive overlap')
        outline = _unpickle(io.BytesIO(archive.read(pickled[0])), Outline(script=script))
    for key, storage in outline.storages.items():
        member = members.get(f'{root}data/{key}')
        there = 0 if member is None else member.file_size
        if there != storage.nbytes:
            raise CheckpointError(f'it is damaged: {root}data/{key} has {there} bytes, but is '
                                  f'declared to have {storage.nbytes}')
    return outline


def _cut_archive(file: BinaryIO, size: int) -> CheckpointError:
    """What is known of an archive without an end: torch writes the pickle first."""
    whole = ''
    with suppress(Exception):  # cut or damaged before the pickle's end
        file.seek(26)  # the lengths of the first member's name and extra field
        file.seek(30 + sum(struct.unpack('<HH', file.read(4))))
        need = sum(storage.nbytes for storage in _unpickle(file).storages.values())
        whole = f'of more than {need} ' if need > size else ''
    return CheckpointError(f'it is cut short ({size} {whole}bytes; the end of the archive is '
                           'missing): copy or download it again')


def _of_legacy_file(file: BinaryIO, size: int) -> Outline:
    """A file of torch before 1.6: pickles one behind the other, and then the storages."""
    if _unpickle(file).content != _LEGACY_MAGIC:
        raise CheckpointError('it is a pickle, but not one of torch.save: its weights cannot be '
                              'read without running it')
    for _ in ('protocol', 'system'):
        _unpickle(file)
    outline, keys = _unpickle(file), _unpickle(file).content
    if not isinstance(keys, list) or sorted(keys) != sorted(outline.storages):
        raise CheckpointError('it is damaged: its storages are not those of its tensors')
    for key in keys:
        storage = outline.storages[key]
        count = file.read(8)
        place = file.tell() + storage.nbytes
        if len(count) < 8 or place > size:
            raise CheckpointError(f'it is cut short ({size} of at least {place} bytes): copy or '
                                  'download it again')
        if struct.unpack('<q', count)[0] != storage.numel:
            raise CheckpointError(f'it is damaged: the storage {key} has another size than its '
                                  'tensors say')
        file.seek(place)
    return outline


def _unpickle(file: BinaryIO, outline: Outline | None = None) -> Outline:
    outline = outline or Outline()
    outline.content = _OutlineUnpickler(file, outline).load()
    return outline


class _OutlineUnpickler(pickle._Unpickler):

    proto: int  # of the pickle

    def __init__(self, file: BinaryIO, outline: Outline) -> None:
        super().__init__(file)
        self.outline = outline
        self._known: dict[str, Any] = {
            'builtins.set': set,
            'collections.OrderedDict': OrderedDict,
            'torch._utils._rebuild_tensor': self._tensor,
            'torch._utils._rebuild_tensor_v2': self._tensor,
            'torch._utils._rebuild_parameter': lambda value, *_: value,
            'torch._utils._rebuild_parameter_with_state': lambda value, *_: value,
            'torch._tensor._rebuild_from_type_v2': lambda build, _, args, *__: build(*args),
            'builtins.bytearray': _text_as_bytes,
            '_codecs.encode': _text_as_bytes,
            **{f'numpy.{core}.multiarray.{name}': build for core in ('core', '_core')
               for name, build in (('_reconstruct', _numpy_array), ('scalar', _numpy_scalar))},
        }

    def find_class(self, module: str, name: str) -> Any:
        """Give something inert for everything."""
        if self.proto < 3:
            module, name = _compat_pickle.NAME_MAPPING.get(
                (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name))
        full = f'{module}.{name}'
        self.outline.names.add(full)
        if full not in self._known:
            # Of these, torch and numpy would make what a file wants, in any size.
            refused = full == 'numpy.ndarray' or (full.startswith('torch.') and (
                full.endswith(('Storage', 'Tensor')) or '._rebuild' in full))
            self._known[full] = (
                _Refused(full) if refused else type(name, (Inert, ), dict(__module__=module)))
        return self._known[full]

    def persistent_load(self, pid: Any) -> _Storage:
        """Note a storage."""
        if pid[0] == 'module':
            raise CheckpointError('it is a whole model as PyTorch before 1.6 saved it: save its '
                                  'state_dict() where its code is')
        kind, storage_type, key, _, numel, *view = pid
        name = getattr(storage_type, 'name', '').split('.')[-1]
        if kind not in ('storage', b'storage') or name not in _ITEM_SIZES:
            raise CheckpointError('it is damaged: it refers to something that is no storage')
        storage = _Storage(_count(numel), _ITEM_SIZES[name])
        if self.outline.storages.setdefault(str(key), storage) != storage:
            raise CheckpointError(f'it is damaged: the storage {key} has two sizes')
        if view and view[0] is not None:
            _, offset, view_size = view[0]
            if _count(offset) + _count(view_size) > storage.numel:
                raise CheckpointError(f'it is damaged: a part of the storage {key} is larger')
            return _Storage(view_size, storage.item_size)
        return storage

    def _tensor(self, storage: _Storage, offset: int, size: tuple, stride: tuple,
                *_: Any) -> DeclaredTensor:
        if not isinstance(storage, _Storage) or len(size) != len(stride):
            raise CheckpointError('it is damaged: a tensor without a storage')
        numel = math.prod(_count(n) for n in size)
        last = _count(offset) + sum((n - 1) * _count(step)
                                    for n, step in zip(size, stride, strict=True))
        if numel and (last >= storage.numel or numel > storage.numel):
            raise CheckpointError(f'it declares a tensor of {numel} values in a storage of '
                                  f'{storage.numel}')
        self.outline.tensor_bytes += numel * storage.item_size
        return DeclaredTensor()


@dataclass(frozen=True)
class _Refused:
    """A kind of tensor that no weights need, or a storage; not to be made by a call."""

    name: str

    def __call__(self, *args: Any) -> Any:
        raise CheckpointError(f'it holds a tensor of a kind that weights do not have ({self.name}):'
                              ' save plain, dense tensors')


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise CheckpointError(f'it is damaged: {str(value)[:50]} is no size')
    return value


def _text_as_bytes(value: Any = '', encoding: Any = 'latin1', *_: Any) -> Inert:
    # This is how bytes are written; a number would ask for memory, some encodings for time.
    if not isinstance(value, str | bytes | Inert) or encoding not in ('latin1', 'latin-1'):
        raise CheckpointError('it is damaged: it asks for memory instead of bringing bytes')
    return Inert()


def _numpy_array(kind: Any, shape: tuple, *_: Any) -> Inert:
    if shape != (0, ):  # the state that follows says the shape, and brings the bytes
        raise CheckpointError('it is damaged: it asks for memory instead of bringing an array')
    return Inert()


def _numpy_scalar(dtype: Any, data: Any) -> Inert:
    """Without data, numpy would allocate what the type says."""
    return Inert()
