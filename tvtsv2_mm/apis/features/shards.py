"""A folder of feature shards that grows by whole parts (see utils/parts) and survives a kill::

    meta.json               what the features were made with
    parts/00000000.npy      features of a part, float32 (n, E) (or .safetensors, .parquet)
    parts/00000000.json     its videos, row by row, and those that failed
    checkpoint.json         hash of the checkpoint, and of which file it is
    source.json             where the videos lay at the last run
    index.jsonl             {"video": ..., "shard": "parts/00000000.npy", "row": 0,
                            "spacing": "index"} a line; "windows", [[start, end], ...] in seconds,
                            where a video has several rows, and their "texts" if they are spoken
    failed.jsonl            {"video": ..., "reason": ...} a line
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mmengine.logging import print_log
from safetensors.numpy import load_file, save_file

from tvtsv2_mm.apis.clips import Failure
from tvtsv2_mm.checkpoints.files import files_of
from tvtsv2_mm.choices import FEATURE_FORMATS
from tvtsv2_mm.evaluation.results import describe_checkpoint
from tvtsv2_mm.utils.errors import UserFileError, one_error
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

    videos: list[str]  # N names, as the list or the folder gave them; of windows, each time anew
    features: np.ndarray  # float32 (N, E), l2-normalised
    failed: list[Failure]  # videos that could not be read
    meta: dict[str, Any]  # what they were made with
    keys: np.ndarray  # int64 (N,), by which a row is known as long as the folder is
    spans: np.ndarray | None = None  # float64 (N, 2), where each begins and ends; None: whole
    texts: list[str] | None = None  # N, what is said there, if that is what the features are of


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
                   failed: Sequence[Failure], spacings: Sequence[str] = (), **of_videos: Any
                   ) -> None:
        """Write a part, whole or not at all.

        Args:
            number: of the part.
            videos: n names.
            features: (n, E), or (all windows of all videos, E).
            failed: the videos that failed.
            spacings: by which rule the frames of each video were chosen (SampleClipFrames).
            of_videos: what else is kept of each: ``windows``, a list of (start, end) where they
                have several rows; ``texts``, those of the windows; ``stamps``, of their files.
        """
        shard = f'parts/{number:08d}.{self.format}'
        if videos:
            write_atomically(self.folder / shard, partial(
                _write_shard, format=self.format,
                features=np.ascontiguousarray(features, dtype=np.float32),
                videos=[video for video, windows in zip(
                    videos, of_videos.get('windows') or [[()]] * len(videos), strict=True)
                    for _ in windows]))
        self.write_record(number, dict(
            shard=shard if videos else None, videos=list(videos), spacings=list(spacings),
            failed=[vars(failure) for failure in failed], **of_videos))

    def done(self, *, retry_failed: bool = False) -> tuple[dict[str, Any], int]:
        """The stamps of the files of all videos in finished parts, and the last part's number (-1).

        A video of which no file was stamped has None, and one that failed so has []: no file has
        this stamp. With ``retry_failed``, without those that failed.
        """
        done: dict[str, Any] = {}
        lost: dict[str, list[str]] = {}
        last = -1
        for part in self.parts():
            last = part['number']
            failed = [failure['video'] for failure in part['failed']]
            stamps = part.get('stamps', {})  # parts of earlier versions have none
            if not isinstance(stamps, dict):
                raise UserFileError(f'{self.damaged(part["number"])}: its "stamps"')
            shard = part.get('shard')
            if shard is not None and not _SHARD.fullmatch(shard):
                raise UserFileError(f'{self.damaged(part["number"])}: its "shard"')
            if shard is not None and not (self.folder / shard).is_file():
                lost[shard] = part['videos']
                continue
            done |= {video: stamps.get(video) for video in part['videos']}
            done |= {video: stamps.get(video, []) for video in failed}
            for video in failed if retry_failed else ():
                done.pop(video, None)
        for shard, videos in lost.items():
            if not done.keys() >= {*videos}:
                print_log(f'{self.folder / shard} has gone: its videos are extracted anew',
                          'current')
        return done, last

    def finish(self, order: Sequence[str]) -> tuple[int, int]:
        """Write the list of failures and the index, in the given order of videos.

        Returns:
            How many videos have features, and how many failed.

        Raises:
            RuntimeError: a video is in no part.
        """
        places, reasons = {}, {}
        for part in self.parts():
            failed = {failure['video']: failure for failure in part['failed']}
            with one_error(f'{self.damaged(part["number"])}: its "spacings", "windows" or "texts"'):
                found = dict(_places(part))
            # What a file held before it was changed, counts no more.
            for video in failed:
                places.pop(video, None)
            for video in found:
                reasons.pop(video, None)
            places |= found
            reasons |= failed
        order = [printable(video) for video in order]
        lost = [video for video in order if video not in places and video not in reasons]
        if lost:
            raise RuntimeError(f'{len(lost)} videos are in no part, the first is {lost[0]}: run '
                               'the extraction again')
        if left := len((places.keys() | reasons.keys()) - {*order}):
            print_log(f'{left} videos of earlier runs in {self.folder} are not in this list, and '
                      'left out', 'current')
        found = [places[video] for video in order if video in places]
        failed = [reasons[video] for video in order if video not in places]
        write_atomically(self.folder / 'failed.jsonl', to_json_lines(failed))
        write_atomically(self.folder / 'index.jsonl', to_json_lines(found))
        return len(found), len(failed)


def _places(part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of the index that tell of a part, by their video."""
    videos, row = part['videos'], 0
    # Parts of earlier versions do not tell all.
    spacings = part.get('spacings') or [None] * len(videos)
    more = {key: part[key] for key in ('windows', 'texts') if part.get(key)}
    for video, spacing, *own in zip(videos, spacings, *more.values(), strict=True):
        of_video = dict(zip(more, own, strict=True))
        yield video, dict(video=video, shard=part['shard'], row=row, spacing=spacing, **of_video)
        row += len(of_video.get('windows', [()]))


def stamp_of(path: str) -> list[int] | None:
    """Size and time of a file, by which a change is seen; None of what is no file here."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


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
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, to_json(dict(files=files, sha256=digest)))
    return digest


def check_finished(folder: str | os.PathLike) -> Path:
    """The folder, if an extraction ended there.

    Raises:
        FileNotFoundError: it lacks what an extraction writes.
    """
    for name in ('index.jsonl', 'failed.jsonl', 'meta.json'):
        if not Path(folder, name).is_file():
            raise FileNotFoundError(
                f'{os.fspath(folder)} has no {name}: the extraction did not end (run it again, it '
                'goes on), or this is no folder of features')
    return Path(folder)


def load_features(folder: str | os.PathLike) -> FeatureSet:
    """Read a finished extraction.

    Raises:
        FileNotFoundError: there is no index in the folder, or not a file that it names.
        ValueError: a file is damaged.
    """
    folder = check_finished(folder)
    index = folder / 'index.jsonl'
    rows = read_json_lines(index, _ROW)
    failed = read_json_lines(folder / 'failed.jsonl', FAILURE)
    meta = read_json(folder / 'meta.json')
    check_fields(meta, _META, str(folder / 'meta.json'))
    shards = {row['shard'] for row in rows}
    for shard in shards:
        if not (folder / shard).is_file():
            raise FileNotFoundError(f'{index} names {shard}: No such file')
    arrays = {shard: _read_shard(folder / shard) for shard in shards}
    widths = {array.shape[1] for array in arrays.values()}
    if len(widths) > 1:
        raise UserFileError(f'{folder}: the features have different widths: {sorted(widths)}')
    found = [_rows_of(f'{index}, line {number}', row, arrays[row['shard']])
             for number, row in enumerate(rows, 1)]
    spans = [spans for _, _, spans in found if spans is not None]
    if spans and len(spans) < len(found):
        raise UserFileError(f'{index} has whole videos and windows')
    texts = [text for row in rows for text in row.get('texts') or ()]
    if texts and len(texts) != sum(len(own) for own, _, _ in found):
        raise UserFileError(f'{index} has texts of some videos, and none of others')
    features = [features for features, _, _ in found]
    return FeatureSet(
        videos=[row['video'] for row, (own, _, _) in zip(rows, found, strict=True) for _ in own],
        features=np.concatenate(features) if features else np.zeros((0, 0), np.float32),
        keys=np.concatenate([keys for _, keys, _ in found]) if found else np.zeros(0, np.int64),
        spans=np.concatenate(spans) if spans else None, texts=texts or None,
        failed=[Failure(video=row['video'], reason=row['reason']) for row in failed], meta=meta)


def _rows_of(place: str, row: dict[str, Any],
             array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Features, keys and spans of a video, which a line of the index tells of."""
    spans, first = None, row['row']
    if row.get('windows') is not None:
        with one_error(f'{place}: its "windows" are damaged'):
            spans = np.array(row['windows'], np.float64)
            if spans.ndim != 2 or spans.shape[1] != 2 or not (
                    np.isfinite(spans).all() and (spans[:, 0] <= spans[:, 1]).all()):
                raise ValueError(f'no starts and ends in seconds: {row["windows"]!r:.80}')
    count = 1 if spans is None else len(spans)
    texts = row.get('texts')
    if texts is not None and not (isinstance(texts, list) and len(texts) == count
                                  and all(isinstance(text, str) for text in texts)):
        raise UserFileError(f'{place}: its "texts" are not one for each window')
    if not 0 <= first <= first + count <= len(array):
        raise UserFileError(f'{place}: there is no row {first + count - 1} in {row["shard"]}')
    part = int(row['shard'][len('parts/'):].partition('.')[0])
    return array[first:first + count], (part << 32) + np.arange(first, first + count), spans


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
