"""What can be wrong with one sample. Training skips and counts it; evaluation stops."""

import re
from collections.abc import Generator
from contextlib import contextmanager

from tvtsv2_mm.utils.errors import shortened
from tvtsv2_mm.utils.extras import MissingPackageError
from tvtsv2_mm.video.files import printable


class SampleError(RuntimeError):
    """One sample cannot be used.

    Args:
        path: The video file (or another name of the sample).
        reason: What is wrong, as one short sentence: skipped samples are counted by it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return printable(f'{self.path}: {self.reason}')


class UnreadableVideoError(SampleError):
    """The video file is missing, damaged, or of a kind that the decoder does not know."""


class MissingVideoError(UnreadableVideoError):
    """There is no such file."""


class NoSoundError(UnreadableVideoError):
    """The video has pictures alone."""

    def __init__(self, path: str, reason: str = 'it has no sound') -> None:
        super().__init__(path, reason)


class DecodingTimeoutError(UnreadableVideoError):
    """The video was not decoded before its deadline, so many seconds."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(path, f'it was not decoded within the deadline of {seconds:g} s')
        self.seconds = seconds

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.seconds)


class NotIndexableError(Exception):
    """A decoder cannot be trusted to find the frames of this file by their index."""


@contextmanager
def one_video_error(path: str, what: str) -> Generator[None]:
    """Turn whatever a file does to a decoder, and to what works with its output, into one error.

    To be put around decoding alone, as :func:`~tvtsv2_mm.utils.errors.one_error`.

    Raises:
        SampleError, NotIndexableError, MissingPackageError: as they come.
        UnreadableVideoError: of everything else.
    """
    try:
        yield
    except (SampleError, NotIndexableError, MissingPackageError):
        raise
    except Exception as error:
        detail = getattr(error, 'strerror', None) or f'{type(error).__name__}: {error}'
        raise UnreadableVideoError(path, shortened(f'{what} ({detail})')) from error


def cause_of(reason: str) -> str:
    """A reason without its numbers, so that equal causes are counted together.

    Examples:
        >>> cause_of('its 12.3 s of h264 are less than the 15 s that 4 segments take')
        'its N s of h264 are less than the N s that N segments take'
    """
    return re.sub(r'(?<!\w)\d+(\.\d+)?', 'N', reason)
