"""The video files that a converter finds: by name, and how long they are."""

import os
import unicodedata
from collections import defaultdict
from pathlib import Path

from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.video.errors import SampleError
from tvtsv2_mm.video.files import printable, walk_videos
from tvtsv2_mm.video.opening import open_video


class VideoIndex:
    """The videos under a folder, found by their name without its ending.

    Args:
        root: The folder; ``data_prefix['video']`` of the data set later on.

    Raises:
        FileNotFoundError: If there is no such folder, or no video in it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f'there is no folder {root} (of the videos)')
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in walk_videos(str(self.root)):
            stem = os.path.splitext(os.path.basename(path))[0]
            self._by_stem[one_spelling(stem)].append(path)
        if not self._by_stem:
            raise FileNotFoundError(f'there is no video under {root}')

    def find(self, stem: str, folder: str | None = None, *, anywhere: bool = True) -> str:
        """Path, relative to the root, of the video of this name.

        Args:
            stem: File name without its ending.
            folder: Where to prefer it, relative to the root; None prefers none.
            anywhere: Take one in another folder than ``folder``: for names that are ids.

        Raises:
            DropRecord: If there is none, or several and not one of them in ``folder``.
        """
        paths = self._by_stem.get(one_spelling(stem), [])
        near = [path for path in paths if folder is not None
                and one_spelling(os.path.dirname(path)) == one_spelling(folder)]
        found = near if len(near) == 1 or not anywhere else paths
        if not found:
            raise DropRecord('a video file of its name is in another folder only' if paths
                             else 'there is no video file of its name')
        if len(found) > 1:
            raise DropRecord('several video files have its name')
        return found[0]

    def __contains__(self, stem: str) -> bool:
        return one_spelling(stem) in self._by_stem


def one_spelling(name: str) -> str:
    """A name whose letters with accents are one character each: macOS writes some as two."""
    return unicodedata.normalize('NFC', name)


def probe_duration(path: str | Path) -> float:
    """Seconds at which the last frame of a video ends, as readers count it; all of it is read.

    Raises:
        DropRecord: If it cannot be read as a video, or annotations cannot hold its name.
    """
    if printable(str(path)) != str(path):
        raise DropRecord('the name of its video is not UTF-8')
    try:
        video = open_video(str(path))
    except SampleError as error:
        raise DropRecord(f'its video file cannot be opened ({error.reason})') from error
    video.close()
    return round(video.duration, 3)
