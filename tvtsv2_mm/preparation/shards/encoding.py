"""Encodes parts of videos for training: small, with near key frames, without sound."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import av
import numpy as np

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.preparation.options import EncodingConfig
from tvtsv2_mm.video.frame_pixels import IN_ONE_THREAD
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

_TICK = Fraction(1, 90000)  # seconds


@dataclass(frozen=True, kw_only=True)
class EncodedPart:
    """A part of a video."""

    data: bytes  # the mp4 file
    start: float  # time of its first frame in the source, seconds
    end: float  # when its last frame ends there


def encode_part(path: str, start: float, end: float, config: EncodingConfig) -> EncodedPart:
    """Encode the frames that begin in ``[start, end)``; they keep their distances in time.

    Args:
        path: Video file.
        start, end: Seconds from where a player starts; ``inf`` for all that follows.
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
    first, last_end = None, 0.0
    with open_stream(video) as opened, av.open(target, 'w', format='mp4') as container:
        frames = _frames(opened, start - 0.5 / fps, end - 0.5 / fps, starts if counted else None)
        encoder = _add_encoder(container, config, fps, _even(height), _even(width))
        encoder.sample_aspect_ratio = Fraction(
            orientation.pixel_aspect(header.pixel_aspect)).limit_denominator(255)
        for time, frame, is_key in _with_keys(frames, config.key_seconds):
            first = time if first is None else first
            number = int(np.argmin(np.abs(starts - time)))
            seconds, last_end = ends[number] - starts[number], float(ends[number])
            picture = _picture(frame, orientation, encoder.height, encoder.width)
            picture.time_base = _TICK
            picture.pts = round((time - first) / _TICK)
            picture.duration = round(seconds / _TICK)
            # A last frame that stands still keeps its time where no other is stored behind it.
            picture.pict_type = (av.video.frame.PictureType.I if is_key or seconds > 1.5 / fps
                                 else av.video.frame.PictureType.NONE)
            container.mux(encoder.encode(picture))
        container.mux(encoder.encode(None))
    if first is None:
        raise UnusableSampleError(path, f'it has no frame in its seconds {start:.2f} to {end:.2f}')
    return EncodedPart(data=target.getvalue(), start=first, end=last_end)


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
    encoder.codec_context.time_base = _TICK
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
    last_key = None
    behind: list[tuple[float, Any]] = [(-math.inf, None)]
    for (time, frame), (next_time, _) in pairwise(chain(frames, behind)):
        is_key = last_key is None or next_time - last_key > key_seconds + 1e-6
        last_key = time if is_key else last_key
        yield time, frame, is_key


def _picture(frame: av.VideoFrame, orientation: Orientation, height: int, width: int
             ) -> av.VideoFrame:
    """The picture as it is shown, at the size that is wanted."""
    if not orientation.is_upright:
        stored_height, stored_width = orientation.size(height, width)
        rgb = frame.reformat(width=stored_width, height=stored_height, format='rgb24',
                             interpolation='BICUBIC', **IN_ONE_THREAD).to_ndarray()
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(orientation.apply(rgb)), 'rgb24')
    return frame.reformat(width=width, height=height, format='yuv420p', interpolation='BICUBIC',
                          **IN_ONE_THREAD)
