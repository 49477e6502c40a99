"""One table of a finished extraction, as vector databases and data frames read it."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from tvtsv2_mm.apis.features.shards import FeatureSet, load_features
from tvtsv2_mm.apis.features.speech import SPEECH
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.files import make_folder, write_atomically

_ROWS_AT_ONCE = 2**16

ENDINGS = ('.parquet', '.arrow')


def export_table(folder: str | os.PathLike, path: str | os.PathLike) -> int:
    """Write features, and passages of speech, into one Parquet or Arrow file.

    Its columns: ``kind`` ('video' or 'speech'), ``key`` (int64, of a row of its kind for as long as
    the folder is), ``video``, ``start`` and ``end`` (float64 seconds; null: the whole video),
    ``text`` (what is said; null: features of what is seen), ``vector`` (float32, E of a fixed
    size, l2-normalised). The metadata of the schema tell of the checkpoint.

    Args:
        folder: of the features.
        path: .parquet, or .arrow for Arrow's file format (Feather 2).

    Returns:
        How many rows.

    Raises:
        FileNotFoundError: there are no features.
        ValueError: the file would have another ending, or features are damaged.
        MissingPackageError: pyarrow is not installed.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f'{path} must end in {" or ".join(ENDINGS)}')
    with needed_for('a table of features'):
        import pyarrow
        import pyarrow.parquet
    features = load_features(folder)
    if not features.videos:
        raise ValueError(f'{folder} has no features: all videos failed')
    kinds = dict(video=features)
    if (speech := Path(folder, SPEECH)).is_dir():
        kinds['speech'] = load_features(speech)
    schema = pyarrow.schema([
        ('kind', pyarrow.string()), ('key', pyarrow.int64()), ('video', pyarrow.string()),
        ('start', pyarrow.float64()), ('end', pyarrow.float64()), ('text', pyarrow.string()),
        ('vector', pyarrow.list_(pyarrow.float32(), features.features.shape[1])),
    ], metadata={name: str(features.meta[name]) for name in ('checkpoint', 'checkpoint_sha256')})
    make_folder(path.parent)
    write_atomically(path, partial(_write, pyarrow, schema, kinds, path.suffix))
    return sum(len(own.videos) for own in kinds.values())


def _write(pyarrow: ModuleType, schema: Any, kinds: dict[str, FeatureSet], ending: str,
           draft: Path) -> None:
    open_writer = pyarrow.parquet.ParquetWriter if ending == '.parquet' else pyarrow.ipc.new_file
    with draft.open('wb') as file, open_writer(file, schema) as writer:
        for kind, features in kinds.items():
            for columns in _columns(pyarrow, features):
                writer.write_table(pyarrow.table(
                    dict(columns, kind=[kind] * len(columns['video'])), schema))


def _columns(pyarrow: ModuleType, features: FeatureSet) -> Iterator[dict[str, Any]]:
    for start in range(0, len(features.videos), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        vectors, spans = features.features[rows], features.spans
        nothing = [None] * len(vectors)
        yield dict(
            key=features.keys[rows], video=features.videos[rows],
            start=nothing if spans is None else spans[rows, 0],
            end=nothing if spans is None else spans[rows, 1],
            text=nothing if features.texts is None else features.texts[rows],
            vector=pyarrow.FixedSizeListArray.from_arrays(vectors.reshape(-1), vectors.shape[1]))
