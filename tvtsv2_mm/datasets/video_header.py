"""What the header of a video file says: enough to choose the size before decoding starts."""

from dataclasses import dataclass
from pathlib import Path

import av

from tvtsv2_mm.datasets.errors import UnreadableVideoError

# Containers that can ask a player to turn the picture; only there is a frame decoded to know it.
_ROTATING = {'mov', 'mp4', 'matroska'}


@dataclass(frozen=True)
class VideoHeader:
    """The video stream that decord would choose.

    Attributes:
        height: Of the picture as shown (turned, where the file asks for it), pixels.
        width: Likewise.
        codec: Name of the codec, such as 'h264'.
        stream_start: Seconds from the start of the file's playback to the stream's first frame.
    """

    height: int
    width: int
    codec: str
    stream_start: float


def read_video_header(path: str) -> VideoHeader:
    """Read the header.

    Args:
        path: A video file.

    Raises:
        UnreadableVideoError: If there is no such file, or it is no video.
    """
    file = Path(path)
    if not file.is_file():
        raise UnreadableVideoError(path, 'there is no such file')
    if file.stat().st_size == 0:
        raise UnreadableVideoError(path, 'the file is empty')
    try:
        with av.open(path, metadata_errors='ignore') as container:
            return _header_of(path, container)
    except (av.FFmpegError, ValueError) as error:
        raise UnreadableVideoError(
            path, f'it cannot be opened as a video ({_short(error)})') from error


def _header_of(path: str, container: av.container.InputContainer) -> VideoHeader:
    stream = container.streams.best('video')
    if stream is None:
        kinds = sorted({s.type for s in container.streams}) or ['nothing']
        raise UnreadableVideoError(path, f'it has no video stream, only {", ".join(kinds)}')
    if stream.codec_context is None:
        raise UnreadableVideoError(path, 'there is no decoder for its video stream')
    height, width = stream.codec_context.height, stream.codec_context.width
    if height < 1 or width < 1:
        raise UnreadableVideoError(path, f'its header gives a picture of {height}x{width} pixels')
    if _ROTATING & set(container.format.name.split(',')) and _quarter_turn(container, stream):
        height, width = width, height
    start = 0.0
    if stream.start_time is not None:
        start = float(stream.start_time * stream.time_base)
        start -= (container.start_time or 0) / av.time_base
    return VideoHeader(height=height, width=width, codec=stream.codec_context.name,
                       stream_start=start)


def _quarter_turn(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether the picture is turned by 90 or 270 degrees, which a decoded frame tells."""
    stream.codec_context.thread_count = 1
    try:
        frame = next(container.decode(stream), None)
    except av.FFmpegError:
        return False  # what is damaged is for the decoder to say
    return frame is not None and frame.rotation % 180 == 90


def _short(error: Exception) -> str:
    return getattr(error, 'strerror', None) or str(error)
