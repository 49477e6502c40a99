"""Read checkpoint files and folders without trusting them.

mmengine's loader learns them here, so that ``load_from``, ``init_cfg`` and the command lines take
every kind: torch files, TorchScript archives, safetensors, folders as they come from the hub, and
folders of sharded training.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from safetensors.torch import load_file
from torch import Tensor

from tvtsv2_mm.utils.errors import shortened

from .description import RECORD, Description, metadata_of, with_metadata
from .entries import check_values, describe, report_lines, some, take_weights
from .errors import UNREADABLE, CheckpointError, naming, reading
from .foreign_configs import read_description
from .hugging_face import can_be_built, model_folder, read_config, read_pixels
from .kinds import FOLDER_FILES, check_kind
from .layouts import OWN, RELEASE
from .openmmlab_configs import description_within
from .published import locate
from .sharded import METADATA, is_sharded, read_metadata, read_run_state, read_sharded
from .untrusted import load_torch_file

WEIGHTS = ('.safetensors', '.bin', '.pt', '.pth')


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_disk(filename: str | Path, map_location: Any = None, *, mmap: bool = False) -> Any:
    """Load a checkpoint of any kind: a file, an index of shards, or a folder.

    Args:
        filename: of it.
        map_location: as of ``torch.load``.
        mmap: leave the tensors on disk until they are read; the file must not change meanwhile.

    Returns:
        What a torch file holds. The weights of a model, or bare weights, are its ``state_dict``,
        where mmengine's hooks (EMA) look for them, by the names of their layout alone; the report
        of :func:`read_weights` goes with them, as the ``file`` of their metadata, and what their
        file or folder says of the model.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder has no known weights.
        CheckpointError: it is damaged, needs more than ``weights_only=True`` allows, or its weights
            are not finite.
    """
    content, report = _read(filename, map_location or 'cpu', mmap=mmap)
    if not (isinstance(content, Mapping)
            and isinstance(content.get('state_dict', content), Mapping)):
        raise CheckpointError(f'{filename} holds no state dict (names and tensors). It has '
                              f'{describe(content)}')
    if report is not None:
        print_log(f'{filename}: {"; ".join(report_lines(report))}', logger='current',
                  level=logging.WARNING if report['notes'] else logging.INFO)
    return content


def read_weights(path: str | Path, *, weights: str | None = None,
                 stand_ins: Iterable[str] = ()) -> tuple[dict[str, Tensor], dict | None]:
    """Read the weights of a checkpoint on the CPU; they stay on disk until they are used.

    Args:
        path: a ``.safetensors`` file, a torch file that holds weights, bare or under any key, a
            TorchScript archive, an index of shards (``*.index.json``), a folder with one of
            ``FOLDER_FILES``, one of ``torch.distributed.checkpoint``, or a name of
            :mod:`.published`. The files must not change while the weights are in use.
        weights: which, where there are several: 'ema' for averaged ones, or the name of an entry.
        stand_ins: names of classes in a torch file to be replaced by inert stand-ins; see
            :func:`.untrusted.load_torch_file`.

    Returns:
        Names and tensors, with what is known of the model (:func:`.description.description_of`),
        and the report of :func:`.entries.take_weights` with ``zero``: names of tensors that are
        zero throughout. None where the layout is not known.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: as :func:`load_from_disk`, or it holds something else.
    """
    content, report = _read(path, 'cpu', mmap=True, weights=weights, stand_ins=tuple(stand_ins))
    found = content.get('state_dict', content) if isinstance(content, Mapping) else content
    if not _is_state_dict(found):
        raise CheckpointError(f'{path} holds no state dict (names and tensors) of a known layout. '
                              f'It has {describe(content)}')
    return found, report


def read_state_dict(path: str | Path, *, weights: str | None = None,
                    stand_ins: Iterable[str] = ()) -> dict[str, Tensor]:
    """The weights alone of :func:`read_weights`."""
    return read_weights(path, weights=weights, stand_ins=stand_ins)[0]


def tokenizer_of(path: str | Path) -> str | None:
    """Whose tokens the weights of a checkpoint read, as it tells; their values stay on disk.

    Returns:
        As :func:`~tvtsv2_mm.utils.tokenizer_files.name_of`, or the kind alone. None where nothing
        is told, or the checkpoint cannot be read, which loading it says.
    """
    path = Path(path).expanduser()
    with suppress(FileNotFoundError, CheckpointError), reading(path):
        if is_sharded(path):
            told, metadata = None, read_run_state(path)
        else:
            file = weights_file(path) if path.is_dir() else path
            content = _load(file, 'cpu', mmap=True, stand_ins=())
            taken, _ = take_weights(content) or (None, None)
            told, metadata = _description_beside(file, taken), metadata_of(taken)
        told = told or Description.from_record(metadata.get(RECORD, {}), 'the checkpoint')
        return told.neck.get('tokenizer')
    return None


def weights_file(folder: Path) -> Path:
    """The weights in a folder as it comes from the hub.

    Raises:
        FileNotFoundError: none of ``FOLDER_FILES`` is there.
    """
    if (folder / 'modules.json').is_file():
        folder = model_folder(folder)
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f'there is no checkpoint in the folder {folder}: it has none of {", ".join(FOLDER_FILES)}, '
        f'but {some(sorted(path.name for path in folder.iterdir())) or "nothing"}')


def files_of(path: Path) -> list[Path]:
    """The files that are read for a checkpoint: a file, an index and its shards, or a folder's.

    Raises:
        FileNotFoundError: a folder has none of ``FOLDER_FILES``.
        CheckpointError: an index, or a folder of sharded training, is damaged.
    """
    if is_sharded(path):
        places = read_metadata(path).storage_data.values()
        return [path / name for name in (METADATA, *sorted({x.relative_path for x in places}))]
    file = weights_file(path) if path.is_dir() else path
    if not file.name.endswith('.index.json'):
        return [file]
    return [file, *(file.parent / shard for shard in sorted(set(_read_index(file).values())))]


def _read(place: str | Path, map_location: Any, *, mmap: bool, weights: str | None = None,
          stand_ins: tuple[str, ...] = ()) -> tuple[Any, dict | None]:
    """From a place to what is there, the weights as ``state_dict``, and the report on them."""
    path = Path(locate(place)).expanduser()
    told, rest = None, {}
    with reading(path), naming(path, UNREADABLE):
        if is_sharded(path):
            taken, report = read_sharded(path, weights)
        else:
            file = weights_file(path) if path.is_dir() else path
            content = _load(file, map_location, mmap=mmap, stand_ins=stand_ins)
            found = take_weights(content, weights=weights) if isinstance(
                content, Mapping) else None
            taken, report = found or (None, None)
            told = _description_beside(file, taken)
            if told is None and RECORD not in metadata_of(taken):
                told = description_within(content, taken)
            if report is None and weights is not None:
                raise CheckpointError(f'it has no weights {weights!r} of a known layout. It has '
                                      f'{describe(content)}')
            if taken is None or report is None:
                return _with_what_is_told(
                    dict(state_dict=content) if _is_state_dict(content) else content, path, told
                ), None
            if report['entry']:
                rest = {key: value for key, value in content.items() if key in report['beside']}
        if report is None:
            return dict(state_dict=taken), None
        report |= dict(zero=check_values(taken), path=str(path))
    if report['zero']:
        report['notes'].append(
            f'{len(report["zero"])} of {len(taken)} tensors are zero throughout, as in no trained '
            f'model: {some(report["zero"])}')
    metadata = {RECORD: asdict(told)} if told else metadata_of(taken)
    return rest | dict(state_dict=with_metadata(taken, {**metadata, 'file': report})), report


def _with_what_is_told(content: Any, path: Path, told: Description | None) -> Any:
    """Weights of an unknown layout, for a model that knows it; see :mod:`.openmmlab`."""
    if not isinstance(content, Mapping) or not _is_state_dict(content.get('state_dict')):
        return content
    weights, others = content['state_dict'], [key for key in content if key != 'state_dict']
    report = dict(path=str(path), entry='state_dict', beside=others, taken_off={}, dropped={},
                  notes=[])
    metadata = {**metadata_of(weights), 'file': report}
    if told:
        metadata[RECORD] = asdict(told)
    return dict(content, state_dict=with_metadata(weights, metadata))


def _description_beside(file: Path, weights: Mapping[str, Tensor] | None) -> Description | None:
    """What a file, or the folder that it is in, says of the model.

    What our towers are not, transformers may run; see :mod:`.hugging_face`.
    """
    foreign = weights is None or not {OWN.marker, RELEASE.marker} & weights.keys()
    with_folder = foreign and (
        # A config beside a file that is alone can be of no other weights.
        file.name in FOLDER_FILES or [file] == [
            other for other in file.parent.iterdir() if other.suffix in WEIGHTS])
    library = _library_description(file.parent) if with_folder else None
    try:
        told = read_description(file, with_folder=with_folder)
    except CheckpointError as error:
        if library is None:
            raise
        return replace(library, refused=f'{error}. HuggingFaceBackbone and HuggingFaceTextEncoder '
                       'run it as it is: docs/peers.md')
    return told if library is None or told is None else library | told


def _library_description(folder: Path) -> Description | None:
    try:
        config, name = read_config(folder)
        pixels = read_pixels(folder, config)
    except (FileNotFoundError, CheckpointError):  # a model that asks for them says so
        return None
    if not can_be_built(config):
        return None
    return Description(backbone=dict(library_config=name), neck=dict(library_config=name),
                       data_preprocessor=dict(mean=pixels.mean, std=pixels.std),
                       source=str(folder / 'config.json'))


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(x, Tensor) for x in value.values())


def _load(path: Path, map_location: Any, *, mmap: bool, stand_ins: tuple[str, ...]) -> Any:
    if not os.path.isfile(path):  # pathlib raises where a name is too long
        raise FileNotFoundError(f'there is no checkpoint {path}')
    if path.name.endswith('.index.json'):
        return _load_shards(path, map_location, mmap=mmap, stand_ins=stand_ins)
    if check_kind(path) == 'safetensors':
        with reading(path):
            return load_file(path, device=str(map_location))
    return load_torch_file(path, map_location=map_location, mmap=mmap, stand_ins=stand_ins)


def _read_index(index: Path) -> dict[str, str]:
    """Map the names of weights to the names of their files."""
    check_kind(index)
    try:
        places = json.loads(index.read_text('utf-8'))['weight_map']
        shards = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f'{index} is no index of shards: {error!r}') from error
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard or '\0' in shard or (
                os.path.isdir(index.parent / shard)):
            raise CheckpointError(f'{index} names a file outside its folder: {str(shard)[:200]}')
        if shard.endswith('.index.json'):
            raise CheckpointError(f'{index} names another index as a shard: {shard[:200]}')
    return places


def _load_shards(index: Path, map_location: Any, **options: Any) -> dict[str, Tensor]:
    places = _read_index(index)
    weights: dict[str, Tensor] = {}
    for shard in sorted(set(places.values())):
        if not os.path.isfile(index.parent / shard):
            raise FileNotFoundError(shortened(
                f'there is no checkpoint {index.parent / shard}, which {index.name} names'))
        given = _load(index.parent / shard, map_location, **options)
        expected = {key for key, place in places.items() if place == shard}
        if set(given) != expected:
            raise CheckpointError(
                f'{index.parent / shard} does not hold what {index.name} says of it: '
                f'{some(sorted(map(str, expected.symmetric_difference(given))))}')
        weights.update(given)
    return weights
