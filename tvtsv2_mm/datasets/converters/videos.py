"""The video files that a converter finds: by name, and how long they are."""

import os
import unicodedata
from collections import defaultdict
from pathlib import Path

import av

from tvtsv2_mm.datasets.converters.report import DropRecord

VIDEO_SUFFIXES = frozenset({
    '.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.flv', '.wmv', '.mpg', '.mpeg', '.3gp',
    '.3g2', '.ts', '.mts', '.m2ts', '.'  # DiDeMo has videos whose names end with the dot
})


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
        for folder, _, names in os.walk(self.root, followlinks=True):
            prefix = os.path.relpath(folder, self.root)
            for name in names:
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in VIDEO_SUFFIXES:
                    path = os.path.normpath(os.path.join(prefix, name))
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
    """Seconds that the video stream of a file lasts, from its header.

    Raises:
        DropRecord: If the file cannot be opened, has no video, or does not say how long it is.
    """
    try:
        with av.open(str(path), metadata_errors='ignore') as container:
            stream = container.streams.best('video')
            if stream is None:
                raise DropRecord('its video file has no video stream')
            if stream.duration is not None:
                seconds = float(stream.duration * stream.time_base)
            elif container.duration is not None:
                seconds = container.duration / av.time_base
            else:
                raise DropRecord('its video file does not say how long it is')
    except (av.FFmpegError, OSError) as error:
        raise DropRecord('its video file cannot be opened '
                         f'({getattr(error, "strerror", None) or error})') from error
    return round(seconds, 3)
