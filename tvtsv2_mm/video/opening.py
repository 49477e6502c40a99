"""Open a video with the decoder of choice."""

from collections.abc import Callable
from typing import Any

from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.video.base_reader import VideoReader
from tvtsv2_mm.video.errors import NotIndexableError
from tvtsv2_mm.video.frame_scaling import FrameScaling
from tvtsv2_mm.video.source import VideoSource


# The decoders are imported where a video is opened: frames in memory need none.
def _pyav(source: VideoSource, *, scaling: FrameScaling) -> VideoReader:
    with needed_for('reading videos'):
        from tvtsv2_mm.video.pyav_reader import PyAVReader
    return PyAVReader(source, scaling=scaling)


def _decord(source: VideoSource, *, scaling: FrameScaling) -> VideoReader:
    with needed_for('reading videos'):
        from tvtsv2_mm.video.decord_reader import DecordReader
    return DecordReader(source, scaling=scaling)


_READERS: dict[str, Callable[..., VideoReader]] = {
    # The fastest on every H.264 clip measured (docs/data.md), and the most exact.
    'auto': _pyav,
    'pyav': _pyav,
    'decord': _decord,
}
BACKENDS = tuple(_READERS)


def open_video(path: str, *, data: bytes | None = None, backend: str = 'auto', num_threads: int = 1,
               deadline: float | None = None, **scaling: Any) -> VideoReader:
    """Open a video, with PyAV where the backend would not find its frames.

    Args:
        path: A video file; with ``data`` a name for messages.
        data: The bytes of the file, where they are in memory.
        backend: One of ``BACKENDS``; 'auto' takes the one that measures fastest.
        num_threads: Decoding threads.
        deadline: Seconds to open it, and again to get its frames.
        scaling: Arguments of :class:`~tvtsv2_mm.video.frame_scaling.FrameScaling`.

    Raises:
        UnreadableVideoError: With the reason, if the file cannot be read as a video.
        MissingPackageError: If the backend is not installed.
    """
    frame_scaling = FrameScaling(**scaling)
    source = VideoSource(path, data=data, num_threads=num_threads, deadline=deadline)
    for reader in dict.fromkeys((_READERS[backend], _pyav)):
        try:
            return reader(source, scaling=frame_scaling)
        except NotIndexableError:
            continue
    from tvtsv2_mm.video.sequential_reader import SequentialReader
    return SequentialReader(source, scaling=frame_scaling)
