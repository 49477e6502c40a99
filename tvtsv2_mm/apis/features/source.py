"""Where the videos of an extraction lie, kept beside the features for what shows them.

In a file of its own: ``meta.json`` must be equal for an extraction to go on, and it may go on from
another place.
"""

import os
from pathlib import Path

from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import check_fields, read_json, to_json, write_atomically

SOURCE = 'source.json'


def write_source(folder: str | os.PathLike, root: str) -> None:
    """Keep the folder that the names of the videos are relative to."""
    root = root if '://' in root else os.path.abspath(root)
    # What is not UTF-8 in it would be another folder if it was escaped.
    if root.encode('utf-8', 'replace').decode() == root:
        write_atomically(Path(folder, SOURCE), to_json(dict(videos=root)))


def find_source(folder: str | os.PathLike, videos: str | os.PathLike | None = None) -> str:
    """The folder that the names of the videos are relative to.

    Args:
        folder: of the features.
        videos: the folder, where the user names it.

    Raises:
        FileNotFoundError: it is not known, or not there.
        ValueError: what was kept is damaged, or no folder.
    """
    kept = Path(folder, SOURCE)
    if videos is None:
        if not kept.is_file():
            raise FileNotFoundError(f'{folder} does not say where its videos lie (it was made by '
                                    'an earlier version): name their folder with --videos')
        record = read_json(kept)
        check_fields(record, dict(videos=str), str(kept))
        videos = record['videos']
        if '://' in videos or '\0' in videos:
            raise UserFileError(f'{kept}: {videos!r:.200} is no folder of this machine: name one '
                                'with the videos with --videos')
    if not os.path.isdir(videos):
        raise FileNotFoundError(f'there is no folder {os.fspath(videos)} of the videos: name the '
                                'one where they lie now with --videos')
    return os.fspath(videos)
