"""A folder of feature shards that grows by whole parts (see utils/parts) and survives a kill::

    meta.json               what the features were made with
    parts/00000000.npy      features of a part, float32 (n, E) (or .safetensors, .parquet)
    parts/00000000.json     its videos, row by row, and those that failed
    checkpoint.json         hash of the checkpoint, and of which file it is
    index.jsonl             {"video": ..., "shard": "parts/00000000.npy", "row": 0,
                            "spacing": "index"} a line
    failed.jsonl            {"video": ..., "reason": ...} a line
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tvtsv2_mm.apis.clips import Failure
from tvtsv2_mm.checkpoints.files import files_of
from tvtsv2_mm.choices import FEATURE_FORMATS
from tvtsv2_mm.evaluation.results import describe_checkpoint
from tvtsv2_mm.utils.errors import one_error
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.files import (
    check_fields,
    read_json,
    read_json_lines,
    to_json,
    to_json_lines,
    write_atomically,
)
from tvtsv2_mm.utils.parts import FAILURE, PartStore
from tvtsv2_mm.video.files import printable

_SHARD = re.compile(r'parts/[0-9]{8}\.(npy|safetensors|parquet)')
_MOST_VALUES_PER_BYTE = 100
_PART = dict(shard=str | None, videos=[str], failed=[FAILURE])
_ROW = dict(video=str, shard=_SHARD, row=int)
_META = dict(checkpoint=str, checkpoint_sha256=str | None)


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Features of a finished extraction."""

    videos: list[str]  # N names, as the list or the folder gave them
    features: np.ndarray  # float32 (N, E), l2-normalised
    failed: list[Failure]  # videos that could not be read
    meta: dict[str, Any]  # what they were made with


class FeatureStore(PartStore):
    """The folder, for writing.

    Args:
        folder: made where it is missing.
        format: 'npy', 'safetensors' or 'parquet' (needs pyarrow).
    """

    def __init__(self, folder: str | os.PathLike, format: str = 'npy') -> None:
        if format not in FEATURE_FORMATS:
            raise ValueError(f'format must be one of {FEATURE_FORMATS}, not {format!r}')
        if format == 'parquet':
            _pyarrow()
        super().__init__(folder, _PART)
        self.format = format

    def write_part(self, number: int, videos: Sequence[str], features: np.ndarray,
                   failed: Sequence[Failure], spacings: Sequence[str] = ()) -> None:
        """Write a part, whole or not at all: n names, (n, E) features, and the videos that failed.

        ``spacings`` says by which rule the frames of each were chosen (SampleClipFrames).
        """
        shard = f'parts/{number:08d}.{self.format}'
        if videos:
            write_atomically(self.folder / shard, partial(
                _write_shard, videos=videos, format=self.format,
                features=np.ascontiguousarray(features, dtype=np.float32)))
        self.write_record(number, dict(
            shard=shard if videos else None, videos=list(videos), spacings=list(spacings),
            failed=[vars(failure) for failure in failed]))

    def finish(self, order: Sequence[str]) -> tuple[int, int]:
        """Write the list of failures and the index, in the given order of videos.

        Returns:
            How many videos have features, and how many failed.

        Raises:
            RuntimeError: a video is in no part.
        """
        places, reasons = {}, {}
        for part in self.parts():
            # Parts of earlier versions do not tell.
            spacings = part.get('spacings') or [None] * len(part['videos'])
            with one_error(f'{self.folder}/parts/{part["number"]:08d}.json is damaged (delete it, '
                           'and the part is made again): its "spacings"'):
                places |= {video: dict(video=video, shard=part['shard'], row=row, spacing=spacing)
                           for row, (video, spacing) in enumerate(
                               zip(part['videos'], spacings, strict=True))}
            reasons |= {failure['video']: failure for failure in part['failed']}
        order = [printable(video) for video in order]
        lost = [video for video in order if video not in places and video not in reasons]
        if lost:
            raise RuntimeError(f'{len(lost)} videos are in no part, the first is {lost[0]}: run '
                               'the extraction again')
        found = [places[video] for video in order if video in places]
        failed = [reasons[video] for video in order if video not in places]
        write_atomically(self.folder / 'failed.jsonl', to_json_lines(failed))
        write_atomically(self.folder / 'index.jsonl', to_json_lines(found))
        return len(found), len(failed)


def _write_shard(path: Path, *, videos: Sequence[str], format: str, features: np.ndarray) -> None:
    if format == 'npy':
        with open(path, 'wb') as file:
            np.save(file, features)
    elif format == 'safetensors':
        save_file({'features': features}, path)
    else:
        arrow, parquet = _pyarrow()
        rows = arrow.FixedSizeListArray.from_arrays(
            arrow.array(features.reshape(-1)), features.shape[1])
        parquet.write_table(arrow.table({'video': list(videos), 'features': rows}), path)


def checkpoint_sha256(folder: str | os.PathLike, weights: str) -> str | None:
    """The hash by which features and a checkpoint are known to belong together.

    A checkpoint has gigabytes: its hash is kept in ``checkpoint.json`` beside the features, with
    the names, sizes and times of its files, and made again when one of these differs.

    Args:
        folder: of the features.
        weights: file or folder; of an address there is no hash.
    """
    local = Path(weights).expanduser()
    if not local.exists():
        return None
    stats = [(file.resolve(), file.stat()) for file in files_of(local)]
    files = [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]
    kept = Path(folder, 'checkpoint.json')
    with suppress(OSError, ValueError):  # there is none, or it is damaged
        known = read_json(kept)
        if known.get('files') == files and isinstance(known.get('sha256'), str):
            return known['sha256']
    described = describe_checkpoint(weights, None)
    digest = described['sha256'] if described else None
    with suppress(OSError):  # a folder that only others may write to
        write_atomically(kept, to_json(dict(files=files, sha256=digest)))
    return digest


def load_features(folder: str | os.PathLike) -> FeatureSet:
    """Read a finished extraction.

    Raises:
        FileNotFoundError: there is no index in the folder, or not a file that it names.
        ValueError: a file is damaged.
    """
    folder = Path(folder)
    index = folder / 'index.jsonl'
    if not index.is_file():
        raise FileNotFoundError(f'{folder} has no index.jsonl: the extraction did not end (run it '
                                'again, it goes on), or this is no folder of features')
    rows = read_json_lines(index, _ROW)
    failed = read_json_lines(folder / 'failed.jsonl', FAILURE)
    meta = read_json(folder / 'meta.json')
    check_fields(meta, _META, str(folder / 'meta.json'))
    arrays = {shard: _read_shard(folder / shard) for shard in {row['shard'] for row in rows}}
    for number, row in enumerate(rows, 1):
        if not 0 <= row['row'] < len(arrays[row['shard']]):
            raise ValueError(f'{index}, line {number}: there is no row {row["row"]} in '
                             f'{row["shard"]}')
    widths = {array.shape[1] for array in arrays.values()}
    if len(widths) > 1:
        raise ValueError(f'{folder}: the features have different widths: {sorted(widths)}')
    features = [arrays[row['shard']][row['row']] for row in rows]
    return FeatureSet(
        videos=[row['video'] for row in rows],
        features=np.stack(features) if features else np.zeros((0, 0), np.float32),
        failed=[Failure(video=row['video'], reason=row['reason']) for row in failed], meta=meta)


def _read_shard(path: Path) -> np.ndarray:
    with one_error(f'{path} is damaged'):
        if path.suffix == '.npy':
            # Mapped: what its header says is compared with its size before memory is taken.
            array = np.load(path, mmap_mode='r', allow_pickle=False)
        elif path.suffix == '.safetensors':
            array = load_file(path)['features']
        else:
            array = _read_parquet(path)
        if array.dtype != np.float32 or array.ndim != 2 or not np.isfinite(array).all():
            raise ValueError(f'{array.dtype} {array.shape} is no finite float32 (videos, E)')
    return array


def _read_parquet(path: Path) -> np.ndarray:
    arrow, parquet = _pyarrow()
    table = parquet.ParquetFile(path)
    groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
    declared = max((sum(group.column(i).num_values for group in groups)
                    for i in range(table.metadata.num_columns)), default=0)
    # Features hardly get smaller; what does takes a million times its size.
    if declared > _MOST_VALUES_PER_BYTE * path.stat().st_size:
        raise ValueError(f'it declares {declared} values, and has {path.stat().st_size} bytes')
    column = table.read(['features'])['features'].combine_chunks()
    if not arrow.types.is_fixed_size_list(column.type) or column.null_count:
        raise ValueError(f'its features are {column.type}, {column.null_count} of {len(column)} '
                         'empty, not one vector of a fixed size a video')
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    with needed_for("format 'parquet'"):
        import pyarrow
        import pyarrow.parquet
    return pyarrow, pyarrow.parquet
