"""Opens a video file, and reads what its header says: enough to choose how it is decoded."""

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import av

from tvtsv2_mm.video.errors import NotIndexableError, SampleError, UnreadableVideoError
from tvtsv2_mm.video.orientation import Orientation
from tvtsv2_mm.video.riff import check_avi_texts
from tvtsv2_mm.video.source import VideoSource

# FFmpeg's names of the files that hold their video themselves. Others that it knows name further
# files or addresses to be opened (playlists, scripts, sequences of pictures), or are no video.
_CONTAINERS = ('mov,matroska,avi,flv,asf,ogg,mpeg,mpegts,mpegvideo,gif,mxf,rm,dv,nut,ivf,'
               'h264,hevc,obu,m4v,mjpeg')

# Texts in a header, which nothing here reads, need not be UTF-8. PyAV 14 to 18 fails on those that
# are not unless it is told otherwise; 19 never does, and cannot be told.
_TEXT_OPTIONS: dict[str, Any] = (
    {'metadata_errors': 'ignore'} if hasattr(av.container.Container, 'metadata_errors') else {})

# A picture that begins later than this after the sound is a damaged header, in seconds.
_LATEST_START = 3600.0

# More pixels in a picture than 8K cameras for all directions have (8192 x 8192): a damaged header,
# for whose pictures FFmpeg would take gigabytes.
MOST_PIXELS = 2**26

# So are pixels so many times as wide as high, or as high as wide.
_LARGEST_ASPECT = 8.0


@dataclass(frozen=True)
class VideoHeader:
    """The video stream that a player would choose.

    Attributes:
        container: Short name of the kind of file: 'mov' (also for mp4), 'matroska' (also for
            webm), 'avi', 'mpeg', 'gif'...
        codec: Name of the codec, such as 'h264'.
        height: Of the picture as stored, pixels.
        width: Likewise.
        pixel_aspect: Width of a pixel as stored divided by its height; 1 where the header does not
            say, or nothing that can be.
        fps: Frames a second, on average; 0 where the header does not say.
        stream_start: Seconds from the start of the file's playback to the stream's first frame.
        reordered: Whether frames may be stored in another order than they are shown.
    """

    container: str
    codec: str
    height: int
    width: int
    pixel_aspect: float
    fps: float
    stream_start: float
    reordered: bool


@dataclass
class OpenStream:
    """The best video stream of a file that PyAV has open."""

    source: VideoSource
    container: av.container.InputContainer
    stream: av.VideoStream

    @cached_property
    def header(self) -> VideoHeader:
        """What is known before a frame is decoded.

        Raises:
            UnreadableVideoError: If the size of the picture is not positive, or enormous.
        """
        codec = self.stream.codec_context
        if codec.height < 1 or codec.width < 1 or codec.height * codec.width > MOST_PIXELS:
            raise UnreadableVideoError(self.source.path, 'its header gives a picture of '
                                       f'{codec.height}x{codec.width} pixels')
        aspect = float(self.stream.sample_aspect_ratio or 1)
        start = 0.0
        if self.stream.start_time is not None:
            start = float(self.stream.start_time * self.time_base) - self.start
        return VideoHeader(
            container=self.container.format.name.split(',')[0], codec=codec.codec.canonical_name,
            height=codec.height, width=codec.width,
            pixel_aspect=aspect if 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT else 1.0,
            fps=float(self.stream.average_rate or 0),
            stream_start=start if 0 <= start < _LATEST_START else 0.0,
            reordered=bool(codec.has_b_frames))

    @property
    def start(self) -> float:
        """Seconds, on the clock of the packets, at which a player starts."""
        return (self.container.start_time or 0) / av.time_base

    @property
    def time_base(self) -> Fraction:
        """Seconds of one unit of the packets' times."""
        assert self.stream.time_base is not None  # it is of an opened file
        return self.stream.time_base

    def packets(self) -> Iterator[av.Packet]:
        """Packets that hold something, from where the file is read at now; watches the clock."""
        for packet in self.container.demux(self.stream):
            self.source.check_clock()
            if packet.size:
                yield packet


@contextmanager
def open_container(source: VideoSource) -> Generator[av.container.InputContainer]:
    """Open a video with PyAV; whatever fails inside is named.

    Raises:
        UnreadableVideoError: If there is no such file, it is no video, or decoding fails.
    """
    source.check_exists()
    opened = False
    try:
        check_avi_texts(source)
        with av.open(source.open(), 'r', **_TEXT_OPTIONS, timeout=source.deadline,
                     container_options=dict(
                         format_whitelist=_CONTAINERS,
                         protocol_whitelist='file' if source.data is None else '')) as container:
            opened = True
            yield container
    except (SampleError, NotIndexableError):
        raise
    except Exception as error:  # whatever damaged bytes make of what FFmpeg tells
        detail = getattr(error, 'strerror', None) or f'{type(error).__name__}: {error}'
        if not opened and getattr(error, 'errno', None) == errno.EINVAL:
            detail = 'it is no container of a video, such as mp4, mkv, webm or avi'
        what = 'its stream is damaged' if opened else 'it cannot be opened as a video'
        raise UnreadableVideoError(source.path, f'{what} ({detail})') from error


@contextmanager
def open_stream(source: VideoSource) -> Generator[OpenStream]:
    """Open a video and its best stream of pictures; raises as :func:`open_container`."""
    with open_container(source) as container:
        stream = container.streams.best('video')
        if not isinstance(stream, av.VideoStream):
            # Not their own `type`: PyAV 15 crashes over that of a damaged stream.
            kinds = [kind for kind in ('audio', 'subtitles', 'data')
                     if getattr(container.streams, kind)] or ['nothing']
            raise UnreadableVideoError(
                source.path, f'it has no video stream, only {", ".join(kinds)}')
        if stream.codec_context is None:
            raise UnreadableVideoError(source.path, 'there is no decoder for its video stream')
        stream.codec_context.thread_count = source.num_threads
        # Pictures may become larger within a stream.
        stream.codec_context.options = dict(max_pixels=str(MOST_PIXELS))
        yield OpenStream(source, container, stream)


def read_video_header(source: VideoSource) -> VideoHeader:
    """Open a video only for its header; raises as :func:`open_stream`."""
    with open_stream(source) as opened:
        return opened.header


def read_orientation(source: VideoSource) -> Orientation:
    """How the pictures are to be turned, which the first frame tells."""
    with open_stream(source) as opened:
        try:
            frame = next(opened.container.decode(opened.stream), None)
        except av.FFmpegError:
            frame = None  # what is damaged is for the reader to say
    return Orientation() if frame is None else Orientation.of(frame)
