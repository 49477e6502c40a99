"""The files below a folder, and which of them are videos."""

import os
from collections import deque
from collections.abc import Iterator

VIDEO_SUFFIXES = frozenset((
    '.3g2', '.3gp', '.asf', '.avi', '.flv', '.gif', '.m2ts', '.m4v', '.mkv', '.mov', '.mp4',
    '.mpeg', '.mpg', '.mts', '.ogv', '.ts', '.vob', '.webm', '.wmv',
    '.'))  # DiDeMo has videos whose names end with the dot


def is_video_name(name: str) -> bool:
    """Whether a file of this name is taken for a video: by its ending, and not hidden."""
    name = os.path.basename(name)
    return not name.startswith('.') and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


def walk_videos(folder: str) -> Iterator[str]:
    """Paths of all videos below a folder; as :func:`walk_files`."""
    return filter(is_video_name, walk_files(folder))


def walk_files(folder: str) -> Iterator[str]:
    """Paths of all files below a folder, relative to it.

    Links to folders are followed, after all that is there without them; each folder is entered
    once, so a link to a folder above it ends there. Hidden files and folders are left out.

    Raises:
        OSError: If a folder cannot be read.
    """
    folders, entered = deque(['']), set()
    while folders:
        prefix = folders.popleft()
        place = os.path.join(folder, prefix)
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        for name in sorted(os.listdir(place)):
            path = os.path.join(prefix, name)
            if name.startswith('.'):
                continue
            if os.path.isdir(os.path.join(folder, path)):
                is_link = os.path.islink(os.path.join(folder, path))
                folders.append(path) if is_link else folders.appendleft(path)
            else:
                yield path


def printable(name: str) -> str:
    """A name for messages and records: what is not UTF-8 in the name of a file is escaped."""
    return name.encode('utf-8', 'backslashreplace').decode()
