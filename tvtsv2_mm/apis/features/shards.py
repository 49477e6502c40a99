"""A folder of feature shards that grows by whole parts and survives a kill at any moment.

Layout::

    meta.json               what the features were made with
    parts/00000000.npy      features of a part, float32 (n, E) (or .safetensors, .parquet)
    parts/00000000.json     its videos, row by row, and those that failed
    index.jsonl             {"video": ..., "shard": "parts/00000000.npy", "row": 0} a line
    failed.jsonl            {"video": ..., "reason": ...} a line

A part counts when its .json is there, which is written after the features, under another name
first. The index is written last, when all parts are there, and can be made again from them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tvtsv2_mm.apis.clips import Failure
from tvtsv2_mm.apis.part_store import (
    PartStore,
    read_json,
    read_json_lines,
    to_json_lines,
    write_atomically,
)
from tvtsv2_mm.datasets.video_files import printable

FORMATS = ('npy', 'safetensors', 'parquet')


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Features of a finished extraction.

    Attributes:
        videos: N names, as the list or the folder gave them.
        features: float32 (N, E), l2-normalised.
        failed: videos that could not be read.
        meta: what they were made with.
    """

    videos: list[str]
    features: np.ndarray
    failed: list[Failure]
    meta: dict[str, Any]


class FeatureStore(PartStore):
    """The folder, for writing.

    Args:
        folder: made where it is missing.
        format: 'npy', 'safetensors' or 'parquet' (needs pyarrow).
    """

    def __init__(self, folder: str | os.PathLike, format: str = 'npy') -> None:
        if format not in FORMATS:
            raise ValueError(f'format must be one of {FORMATS}, not {format!r}')
        if format == 'parquet':
            _pyarrow()
        super().__init__(folder)
        self.format = format

    def write_part(self, number: int, videos: Sequence[str], features: np.ndarray,
                   failed: Sequence[Failure]) -> None:
        """Write a part: whole or not at all.

        Args:
            number: of the part.
            videos: n names.
            features: (n, E).
            failed: the others of the part.
        """
        shard = f'parts/{number:08d}.{self.format}'
        features = np.ascontiguousarray(features, dtype=np.float32)
        if videos:
            write_atomically(self.folder / shard, self._encoder(videos, features))
        record = dict(shard=shard if videos else None, videos=list(videos),
                      failed=[vars(failure) for failure in failed])
        self.write_record(number, record)

    def finish(self, order: Sequence[str]) -> tuple[int, int]:
        """Write the list of failures and the index, in the given order of videos.

        Returns:
            How many videos have features, and how many failed.

        Raises:
            RuntimeError: a video is in no part.
        """
        places, reasons = {}, {}
        for part in self.parts():
            places |= {video: dict(video=video, shard=part['shard'], row=row)
                       for row, video in enumerate(part['videos'])}
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

    def _encoder(self, videos: Sequence[str],
                 features: np.ndarray) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            if self.format == 'npy':
                with open(path, 'wb') as file:
                    np.save(file, features)
            elif self.format == 'safetensors':
                save_file({'features': features}, path)
            else:
                arrow, parquet = _pyarrow()
                rows = arrow.FixedSizeListArray.from_arrays(
                    arrow.array(features.reshape(-1)), features.shape[1])
                parquet.write_table(
                    arrow.table({'video': list(videos), 'features': rows}), path)
        return write


def load_features(folder: str | os.PathLike) -> FeatureSet:
    """Read a finished extraction.

    Raises:
        FileNotFoundError: there is no index in the folder.
    """
    folder = Path(folder)
    index = folder / 'index.jsonl'
    if not index.is_file():
        raise FileNotFoundError(f'{folder} has no index.jsonl: the extraction did not end (run it '
                                'again, it goes on), or this is no folder of features')
    rows = read_json_lines(index)
    shards = {row['shard']: None for row in rows}
    arrays = {shard: _read_shard(folder / shard) for shard in shards}
    features = [arrays[row['shard']][row['row']] for row in rows]
    return FeatureSet(
        videos=[row['video'] for row in rows],
        features=np.stack(features) if features else np.zeros((0, 0), np.float32),
        failed=[Failure(**row) for row in read_json_lines(folder / 'failed.jsonl')],
        meta=read_json(folder / 'meta.json'))


def _read_shard(path: Path) -> np.ndarray:
    if path.suffix == '.npy':
        return np.load(path, allow_pickle=False)
    if path.suffix == '.safetensors':
        return load_file(path)['features']
    _, parquet = _pyarrow()
    column = parquet.read_table(path, columns=['features'])['features'].combine_chunks()
    return column.values.to_numpy(zero_copy_only=False).reshape(len(column), -1)


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError("format 'parquet' needs pyarrow: pip install pyarrow") from None
    return pyarrow, pyarrow.parquet
