"""The videos as files: none outside their folder, whole or the part that was asked for."""

import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from tvtsv2_mm.apis.page.errors import PageError

# What browsers play, and what they hand on; nothing that they would run.
_KINDS = {'.mp4': 'video/mp4', '.m4v': 'video/mp4', '.mov': 'video/mp4', '.webm': 'video/webm',
          '.mkv': 'video/x-matroska', '.ogv': 'video/ogg', '.avi': 'video/x-msvideo',
          '.mpg': 'video/mpeg', '.mpeg': 'video/mpeg', '.gif': 'image/gif', '.ts': 'video/mp2t'}
_RANGE = re.compile(r'bytes=([0-9]{0,20})-([0-9]{0,20})')

MISSING = 'the video is no longer there, or its name is no UTF-8'
OUTSIDE = 'the video does not lie in the folder of the videos, and is not shown'


@dataclass(frozen=True, kw_only=True)
class OpenFile:
    """A regular file below the folder, open for reading.

    Attributes:
        number: of the system.
        size: in bytes.
        tag: which changes with the file, quoted as an ETag is.
        modified: seconds.
        kind: for browsers.
    """

    number: int
    size: int
    tag: str
    modified: float
    kind: str

    @property
    def path(self) -> str:
        """By which other processes of this user open the very file, whatever its name is now."""
        return f'/proc/{os.getpid()}/fd/{self.number}'

    @property
    def last_modified(self) -> str:
        """As HTTP says it."""
        return formatdate(self.modified, usegmt=True)


class VideoFolder:
    """The folder of the videos.

    Args:
        root: may be a link itself; what it leads to now is the folder from here on.
    """

    def __init__(self, root: str | os.PathLike) -> None:
        self.root = os.path.realpath(root)

    @contextmanager
    def opened(self, name: str) -> Generator[OpenFile]:
        """Open a file by its name; see :meth:`open`."""
        file = self.open(name)
        try:
            yield file
        finally:
            os.close(file.number)

    def open(self, name: str) -> OpenFile:
        """Open a file by its name; to be closed with ``os.close``.

        It is opened first, and looked at then: what its name leads to may change between.

        Raises:
            PageError: there is none, or it is outside the folder.
        """
        try:
            # A pipe that nobody writes to is not waited for.
            number = os.open(os.path.join(self.root, name),
                             os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except (OSError, ValueError):  # no such file, not readable, no name of a file
            raise PageError(404, MISSING) from None
        try:
            status = os.fstat(number)
            place = os.readlink(f'/proc/self/fd/{number}')
            if not stat.S_ISREG(status.st_mode) or not status.st_nlink:
                raise PageError(404, MISSING)
            if not Path(place).is_relative_to(self.root):
                raise PageError(403, OUTSIDE)
            kind = _KINDS.get(os.path.splitext(name)[1].lower(), 'application/octet-stream')
            return OpenFile(
                number=number, size=status.st_size, modified=status.st_mtime, kind=kind,
                tag=f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"')
        except BaseException:
            os.close(number)
            raise


def part_of(file: OpenFile, wanted: str | None, condition: str | None) -> tuple[int, int] | None:
    """The part of a file that is asked for.

    Args:
        file: the file.
        wanted: the header ``Range``; of several ranges, and of other units, all is given.
        condition: the header ``If-Range``: a part of another version is of no use.

    Returns:
        Where it starts and ends, the end not included; None: the whole file.

    Raises:
        ValueError: the file has no such part.
    """
    found = _RANGE.fullmatch((wanted or '').replace(' ', ''))
    if found is None or found[1] == found[2] == '' or not _is_same(file, condition):
        return None
    if not found[1]:
        start, stop = max(file.size - int(found[2]), 0), file.size
    else:
        start, stop = int(found[1]), min(int(found[2] or file.size) + 1, file.size)
        if found[2] and int(found[2]) < start:
            return None  # no range at all
    if start >= stop:
        raise ValueError(f'{wanted} of {file.size} bytes')
    return start, stop


def _is_same(file: OpenFile, condition: str | None) -> bool:
    if condition is None or condition == file.tag:
        return True
    try:
        return parsedate_to_datetime(condition).timestamp() == int(file.modified)
    except (TypeError, ValueError, OverflowError):
        return False
