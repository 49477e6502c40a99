"""One file a video, as codes for temporal localisation and anomaly detection read features."""

import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from mmengine.logging import print_log

from tvtsv2_mm.apis.features.shards import load_features
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import make_folder, write_atomically
from tvtsv2_mm.video.files import printable

FOLDER = 'per_video'
_LONGEST_NAME = 230  # bytes: with what a draft's name has more, most disks take 255


def file_names(videos: Sequence[str]) -> dict[str, str]:
    """The file of each video, below the folder of all: its path, with the ending .npy.

    Raises:
        ValueError: a path leads elsewhere, or two videos would have one file.
    """
    names: dict[str, str] = {}
    for video in map(printable, videos):
        path = PurePosixPath(video)
        if path.is_absolute() or '..' in path.parts or '://' in video:
            raise UserFileError(
                f'{video} is not below the folder of the list: there is no place for '
                'a file of its own')
        name = str(path.with_name(f'{path.stem}.npy'))
        if len(os.fsencode(path.name)) > _LONGEST_NAME:
            raise UserFileError(f'{video}: its name is too long for a file of its own')
        if name in names:
            raise UserFileError(f'{names[name]} and {video} would have one file, {name}')
        names[name] = video
    return {video: name for name, video in names.items()}


def write_per_video(folder: str | os.PathLike) -> Path:
    """Write float32 (windows, E) of each video of a finished extraction; (1, E) of whole ones.

    Returns:
        The folder that they are in.
    """
    features = load_features(folder)
    names = np.array(features.videos)
    # Rows of one video follow each other.
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1])[:len(names)])
    into = Path(folder, FOLDER)
    written: set[Path] = set()
    for video, rows in zip(file_names(names[starts].tolist()).items(),
                           np.split(features.features, starts[1:].tolist()), strict=True):
        path = into / video[1]
        make_folder(path.parent)
        write_atomically(path, partial(_save, rows))
        written.add(path)
    if others := sorted({*into.rglob('*.npy')} - written):
        print_log(f'{len(others)} files in {into} are of no video of this run, the first is '
                  f'{printable(others[0].name)}: delete them if nothing needs them', 'current',
                  logging.WARNING)
    return into


def _save(array: np.ndarray, path: Path) -> None:
    with path.open('wb') as file:
        np.save(file, array)
