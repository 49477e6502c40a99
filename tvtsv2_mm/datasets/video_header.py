"""What the header of a video file says: enough to choose the size before decoding starts."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av

from tvtsv2_mm.datasets.errors import UnreadableVideoError

# Containers that can ask a player to turn the picture; only there is a frame decoded to know it.
_TURNING = {'mov', 'matroska'}

# A picture that begins later than this after the sound is a damaged header, in seconds.
_LATEST_START = 3600.0


@dataclass(frozen=True)
class VideoHeader:
    """The video stream that decord would choose.

    Attributes:
        container: Short name of the kind of file: 'mov' (also for mp4), 'matroska' (also for
            webm), 'avi', 'mpeg', 'gif'...
        codec: Name of the codec, such as 'h264'.
        height: Of the picture as shown (turned, where the file asks for it), pixels.
        width: Likewise.
        fps: Frames a second, on average; 0 where the header does not say.
        stream_start: Seconds from the start of the file's playback to the stream's first frame.
    """

    container: str
    codec: str
    height: int
    width: int
    fps: float
    stream_start: float

    def size_for_short_side(self, short_side: int | None) -> tuple[int, int]:
        """Height and width that bring the shorter side to ``short_side`` and keep the shape.

        Examples:
            >>> header = VideoHeader('mov', 'h264', 256, 340, 30.0, 0.0)
            >>> header.size_for_short_side(268)
            (268, 356)
            >>> header.size_for_short_side(None)
            (256, 340)
        """
        if short_side is None:
            return self.height, self.width
        scale = short_side / min(self.height, self.width)
        return round(self.height * scale), round(self.width * scale)


@contextmanager
def open_stream(path: str, num_threads: int = 1, data: bytes | None = None) -> Iterator[
        tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file and its best video stream with PyAV; whatever fails inside is named.

    Args:
        path: A video file.
        num_threads: Decoding threads.
        data: The content, where it is not in a file; ``path`` is then a name for messages.

    Raises:
        UnreadableVideoError: If there is no such file, it is no video, or decoding fails.
    """
    file = Path(path)
    if data is None and not file.is_file():
        raise UnreadableVideoError(path, 'there is no such file')
    if (file.stat().st_size if data is None else len(data)) == 0:
        raise UnreadableVideoError(path, 'the file is empty')
    opened = False
    try:
        source = path if data is None else io.BytesIO(data)
        with av.open(source, metadata_errors='ignore') as container:
            stream = container.streams.best('video')
            if stream is None:
                kinds = sorted({s.type for s in container.streams}) or ['nothing']
                raise UnreadableVideoError(
                    path, f'it has no video stream, only {", ".join(kinds)}')
            if stream.codec_context is None:
                raise UnreadableVideoError(path, 'there is no decoder for its video stream')
            stream.codec_context.thread_count = num_threads
            opened = True
            yield container, stream
    except (av.FFmpegError, ValueError) as error:
        detail = getattr(error, 'strerror', None) or str(error)
        what = 'its stream is damaged' if opened else 'it cannot be opened as a video'
        raise UnreadableVideoError(path, f'{what} ({detail})') from error


def read_video_header(path: str, data: bytes | None = None) -> VideoHeader:
    """Read the header, and where the picture may have to be turned the first frame too.

    Args:
        path: A video file.
        data: Its content, where it is not in a file.

    Raises:
        UnreadableVideoError: If there is no such file, or it is no video.
    """
    with open_stream(path, data=data) as (container, stream):
        height, width = stream.codec_context.height, stream.codec_context.width
        if height < 1 or width < 1:
            raise UnreadableVideoError(
                path, f'its header gives a picture of {height}x{width} pixels')
        kind = container.format.name.split(',')[0]
        if kind in _TURNING and _quarter_turn(container, stream):
            height, width = width, height
        return VideoHeader(
            container=kind, codec=stream.codec_context.codec.canonical_name, height=height,
            width=width, fps=float(stream.average_rate or 0),
            stream_start=_stream_start(container, stream))


def _stream_start(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    if stream.start_time is None:
        return 0.0
    start = float(stream.start_time * stream.time_base) - (container.start_time or 0) / av.time_base
    return start if 0 <= start < _LATEST_START else 0.0


def _quarter_turn(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether the picture is turned by 90 or 270 degrees, which a decoded frame tells."""
    try:
        frame = next(container.decode(stream), None)
    except av.FFmpegError:
        return False  # what is damaged is for the reader to say
    return frame is not None and frame.rotation % 180 == 90
