"""Read checkpoint files and folders without trusting them.

mmengine's loader learns them here, so that ``load_from``, ``init_cfg`` and the command lines take
every kind: torch files, TorchScript archives, safetensors, folders as they come from the hub, and
folders of sharded training.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .convert import CheckpointError
from .description import RECORD
from .foreign_configs import read_description
from .sharded import files_of_sharded, is_sharded, read_sharded
from .untrusted import load_torch_file

# The weights of a folder from the hub, the first that is there.
FOLDER_FILES = ('model.safetensors', 'model.safetensors.index.json', 'open_clip_model.safetensors',
                'pytorch_model.bin', 'pytorch_model.bin.index.json', 'open_clip_pytorch_model.bin')

WEIGHTS = ('.safetensors', '.bin', '.pt', '.pth')


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_disk(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint of any kind: a file, an index of shards, or a folder.

    Returns:
        What a torch file holds; bare weights, and those of sharded training, as ``state_dict``,
        where mmengine's hooks (EMA) look for them.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder has no known weights.
        CheckpointError: it is damaged, or needs more than ``weights_only=True`` allows.
    """
    path = Path(filename).expanduser()
    loaded = _load(path, map_location or 'cpu', mmap=False, stand_ins=())
    return dict(state_dict=_described(loaded, path)) if _is_state_dict(loaded) else loaded


def read_state_dict(path: str | Path, *, stand_ins: Iterable[str] = ()) -> dict[str, Tensor]:
    """Read the weights of a checkpoint on the CPU; they stay on disk until they are used.

    Args:
        path: a ``.safetensors`` file, a torch file that holds a state dict, bare or under the key
            ``state_dict``, a TorchScript archive, an index of shards (``*.index.json``), a folder
            with one of ``FOLDER_FILES``, or one of sharded training. The files must not change
            while the weights are in use.
        stand_ins: names of classes in a torch file to be replaced by inert stand-ins; see
            :func:`.untrusted.load_torch_file`.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, holds something else, or needs more than
            ``weights_only=True`` allows.
    """
    checkpoint = _load(Path(path).expanduser(), 'cpu', mmap=True, stand_ins=tuple(stand_ins))
    if isinstance(checkpoint, Mapping):
        checkpoint = checkpoint.get('state_dict', checkpoint)
    if not _is_state_dict(checkpoint):
        raise CheckpointError(f'{path} holds no state dict (names and tensors)')
    return _described(checkpoint, Path(path).expanduser())


def _described(weights: Mapping[str, Tensor], path: Path) -> OrderedDict[str, Tensor]:
    """The weights with what their file or folder says of the model, as torch keeps versions."""
    told = getattr(weights, '_metadata', {}).get('', {}).get(RECORD)
    if told is None and not is_sharded(path):
        file = weights_file(path) if path.is_dir() else path
        of_others = not any(key.startswith(('backbone.', 'video_model.', 'module.'))
                            for key in weights)
        told = read_description(file, with_folder=of_others and (
            file.name in FOLDER_FILES or _is_alone(file)))
    described = OrderedDict(weights)
    described._metadata = {} if told is None else {'': {RECORD: told}}
    return described


def _is_alone(file: Path) -> bool:
    """Whether a config beside the file can be of no other weights."""
    return file.is_file() and [file] == [
        other for other in file.parent.iterdir() if other.suffix in WEIGHTS]


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(x, Tensor) for x in value.values())


def weights_file(folder: Path) -> Path:
    """The weights in a folder as it comes from the hub.

    Raises:
        FileNotFoundError: none of ``FOLDER_FILES`` is there.
    """
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f'there is no checkpoint in the folder {folder}: it has none of {", ".join(FOLDER_FILES)}')


def files_of(path: Path) -> list[Path]:
    """The files that are read for a checkpoint: a file, an index and its shards, or a folder's.

    Raises:
        FileNotFoundError: a folder has none of ``FOLDER_FILES``.
        CheckpointError: an index, or a folder of sharded training, is damaged.
    """
    if is_sharded(path):
        return files_of_sharded(path)
    if path.is_dir():
        path = weights_file(path)
    if not path.name.endswith('.index.json'):
        return [path]
    return [path, *(path.parent / shard for shard in sorted(set(_read_index(path).values())))]


def _load(path: Path, map_location: Any, *, mmap: bool, stand_ins: tuple[str, ...]) -> Any:
    if is_sharded(path):
        return read_sharded(path)
    if path.is_dir():
        path = weights_file(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no checkpoint {path}')
    if path.name.endswith('.index.json'):
        return _load_shards(path, map_location, mmap=mmap, stand_ins=stand_ins)
    if path.suffix == '.safetensors':
        try:
            return load_file(path, device=str(map_location))
        except SafetensorError as error:
            raise CheckpointError(f'{path} cannot be read as a checkpoint: {error}') from error
    return load_torch_file(path, map_location=map_location, mmap=mmap, stand_ins=stand_ins)


def _read_index(index: Path) -> dict[str, str]:
    """Map the names of weights to the names of their files."""
    try:
        places = json.loads(index.read_text('utf-8'))['weight_map']
        shards = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f'{index} is no index of shards: {error!r}') from error
    for shard in shards:
        if Path(shard).name != shard:
            raise CheckpointError(f'{index} names a file outside its folder: {shard}')
    return places


def _load_shards(index: Path, map_location: Any, **options: Any) -> dict[str, Tensor]:
    places = _read_index(index)
    weights: dict[str, Tensor] = {}
    for shard in sorted(set(places.values())):
        given = _load(index.parent / shard, map_location, **options)
        expected = {key for key, place in places.items() if place == shard}
        if set(given) != expected:
            raise CheckpointError(
                f'{index.parent / shard} does not hold what {index.name} says of it: '
                f'{", ".join(sorted(expected.symmetric_difference(given))[:8])}')
        weights.update(given)
    return weights
