"""Encodes parts of videos for training: small, with near key frames, without sound."""

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction

import av
import numpy as np

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.video.frame_scaling import FrameScaling
from tvtsv2_mm.video.header import (
    OpenStream,
    open_stream,
    read_orientation,
    read_video_header,
)
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.orientation import Orientation
from tvtsv2_mm.video.sequential_reader import SequentialReader
from tvtsv2_mm.video.source import VideoSource


@dataclass(frozen=True, kw_only=True)
class EncodingConfig:
    """How videos are encoded (H.264 in mp4).

    Attributes:
        short_side: Pixels of the shorter side; smaller videos keep their size.
        key_seconds: Largest distance between two key frames.
        crf: Quality of x264: less is better and larger.
        preset: Of x264: slower is smaller.
    """

    short_side: int = 288
    key_seconds: float = 1.0
    crf: float = 23
    preset: str = 'veryfast'

    def __post_init__(self) -> None:
        if self.short_side < 16 or self.key_seconds <= 0 or not 0 <= self.crf <= 51:
            raise ValueError('short_side must be at least 16 pixels, key_seconds positive and crf '
                             f'0..51; got {asdict(self)}')


@dataclass(frozen=True, kw_only=True)
class EncodedPart:
    """A part of a video.

    Attributes:
        data: The mp4 file.
        start: Time of its first frame in the source, seconds.
        end: When its last frame ends there.
    """

    data: bytes
    start: float
    end: float


def encode_part(path: str, start: float, end: float, config: EncodingConfig) -> EncodedPart:
    """Encode the frames that begin in ``[start, end)``; they keep their distances in time.

    Args:
        path: Video file.
        start: Seconds from where a player starts.
        end: Likewise; ``inf`` for all that follows.
        config: How.

    Raises:
        UnreadableVideoError: The source cannot be read.
        UnusableSampleError: It has no frame there.
    """
    video = VideoSource(path)
    header = read_video_header(video)
    orientation = read_orientation(video)
    size = orientation.size(header.height, header.width)
    height, width = FrameScaling(short_side=min(config.short_side, *size)).size_of(*size)
    reader = open_video(path)
    starts, fps = reader.frame_starts, reader.fps
    ends = np.append(starts[1:], reader.duration)
    reader.close()
    # Where a seek may miss, or time stamps are made up, frames are counted from the first one.
    counted = header.container == 'avi' or isinstance(reader, SequentialReader)
    target = io.BytesIO()
    times: list[float] = []
    with open_stream(video) as opened, av.open(target, 'w', format='mp4') as container:
        frames = _frames(opened, start - 0.5 / fps, end - 0.5 / fps, starts if counted else None)
        encoder = _add_encoder(container, config, fps, _even(height), _even(width))
        encoder.sample_aspect_ratio = Fraction(
            orientation.pixel_aspect(header.pixel_aspect)).limit_denominator(255)
        for time, frame, is_key in _with_keys(frames, config.key_seconds):
            picture = _picture(frame, orientation, encoder.height, encoder.width)
            picture.pts = round((time - (times or [time])[0]) / encoder.codec_context.time_base)
            picture.time_base = encoder.codec_context.time_base
            number = int(np.argmin(np.abs(starts - time)))
            seconds = ends[number] - starts[number]
            picture.duration = round(seconds / picture.time_base)
            # A last frame that stands still keeps its time where no other is stored behind it.
            picture.pict_type = (av.video.frame.PictureType.I if is_key or seconds > 1.5 / fps
                                 else av.video.frame.PictureType.NONE)
            container.mux(encoder.encode(picture))
            times.append(time)
        container.mux(encoder.encode(None))
    if not times:
        raise UnusableSampleError(path, f'it has no frame in its seconds {start:.2f} to {end:.2f}')
    return EncodedPart(data=target.getvalue(), start=times[0], end=float(ends[number]))


def _even(pixels: int) -> int:
    return max(2, round(pixels / 2) * 2)


def _add_encoder(container: av.container.OutputContainer, config: EncodingConfig, fps: float,
                 height: int, width: int) -> av.VideoStream:
    encoder = container.add_stream(
        'libx264', rate=Fraction(fps).limit_denominator(1001),
        options={'crf': str(config.crf), 'preset': config.preset, 'forced-idr': '1',
                 # Written once, read in every epoch: 1.5 times as fast to read, 1/8 larger.
                 'tune': 'fastdecode',
                 # Frames that no other refers to can be left out by a reader.
                 'x264-params': 'bframes=2:b-pyramid=none:keyint=infinite', 'threads': '1'})
    encoder.height, encoder.width, encoder.pix_fmt = height, width, 'yuv420p'
    encoder.codec_context.time_base = Fraction(1, 90000)
    encoder.codec_context.flags |= av.codec.context.Flags.frame_duration
    return encoder


def _frames(opened: OpenStream, start: float, end: float, starts: np.ndarray | None
            ) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames and their times: those of the readers in their order, or else the frames' own."""
    offset, stream = opened.start, opened.stream
    if start > 0 and starts is None:
        opened.container.seek(round((start + offset) / opened.time_base), stream=stream)
    for number, frame in enumerate(opened.container.decode(stream)):
        if starts is not None and number == len(starts):
            return
        time = float(starts[number]) if starts is not None else frame.time - offset
        if time >= end:
            return
        if time >= start:
            yield time, frame


def _with_keys(frames: Iterator[tuple[float, av.VideoFrame]], key_seconds: float
               ) -> Iterator[tuple[float, av.VideoFrame, bool]]:
    """Say which frames have to be key frames: the last ones before it would be too late."""
    held, last_key = None, None
    for time, frame in frames:
        if held is not None:
            is_key = last_key is None or time - last_key > key_seconds + 1e-6
            last_key = held[0] if is_key else last_key
            yield *held, is_key
        held = time, frame
    if held is not None:
        yield *held, last_key is None


def _picture(frame: av.VideoFrame, orientation: Orientation, height: int, width: int
             ) -> av.VideoFrame:
    """The picture as it is shown, at the size that is wanted."""
    if not orientation.is_upright:
        stored_height, stored_width = orientation.size(height, width)
        rgb = frame.reformat(width=stored_width, height=stored_height, format='rgb24',
                             interpolation='BICUBIC').to_ndarray()
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(orientation.apply(rgb)), 'rgb24')
    return frame.reformat(width=width, height=height, format='yuv420p', interpolation='BICUBIC')
