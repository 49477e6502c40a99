"""The sound of a video as speech recognisers take it, on the clock of the pictures."""

from collections.abc import Iterator
from itertools import chain, pairwise

import av
import numpy as np

from tvtsv2_mm.video.errors import NoSoundError, UnreadableVideoError
from tvtsv2_mm.video.header import open_container
from tvtsv2_mm.video.source import SAMPLE_RATE, VideoSource

_BLOCK = 30 * SAMPLE_RATE
# Longer sound is no video's: a small file may decode to silence without end.
_LONGEST_S = 24 * 3600
# Smaller gaps between the times of two frames are rounding, larger ones a damaged header's.
_GAPS = range(SAMPLE_RATE // 10, 3600 * SAMPLE_RATE)
# Samples a second of anything that was recorded; a header that says less would fill the memory.
_LOWEST_RATE = 2000


def read_sound(source: VideoSource) -> Iterator[np.ndarray]:
    """Decode the sound of a video in blocks of about half a minute, which bounds the memory.

    The first sample belongs to the moment at which the pictures' times start. Where the file has
    none, or they are damaged, for a tenth of a second or more, it is silent: else all that is said
    behind would come too early.

    Yields:
        int16 (N,): one channel, ``SAMPLE_RATE`` samples a second.

    Raises:
        NoSoundError: If it has no sound.
        UnreadableVideoError: If it cannot be decoded, not one of its frames, within
            ``source.deadline`` for each block, or has more than 24 hours.
    """
    source.start_clock()
    kept: list[np.ndarray] = []
    held = total = 0
    with open_container(source) as container:
        for samples in _samples(source, container):
            kept.append(samples)
            held += len(samples)
            total += len(samples)
            if total > _LONGEST_S * SAMPLE_RATE:
                raise UnreadableVideoError(
                    source.path, f'its sound is longer than {_LONGEST_S // 3600} hours')
            if held >= _BLOCK:
                yield np.concatenate(kept)
                kept, held = [], 0
                source.start_clock()
    if not total:
        raise UnreadableVideoError(source.path, 'its sound is damaged')
    if held:
        yield np.concatenate(kept)


def _samples(source: VideoSource,
             container: av.container.InputContainer) -> Iterator[np.ndarray]:
    """What the frames hold, and silence for those that are missing."""
    start = (container.start_time or 0) / av.time_base
    resampler, made_for = None, None
    num = 0
    frames = chain(_frames(source, container), [None])
    for frame, following in pairwise(frames):
        assert frame is not None  # that is the last one
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if resampler is None or kind != made_for:  # it may change within a stream
            if frame.sample_rate < _LOWEST_RATE:
                raise UnreadableVideoError(
                    source.path, f'its sound has {frame.sample_rate} samples a second')
            resampler = av.AudioResampler(format='s16', layout='mono', rate=SAMPLE_RATE)
            made_for = kind
        gap = 0 if frame.time is None else round((frame.time - start) * SAMPLE_RATE) - num
        if gap in _GAPS and _is_followed(frame, following):
            num += gap
            for first in range(0, gap, _BLOCK):
                yield np.zeros(min(gap - first, _BLOCK), np.int16)
        frame.pts = None  # the resampler would compare them
        for resampled in resampler.resample(frame):
            num += resampled.samples
            yield resampled.to_ndarray().reshape(-1)
    if resampler is not None:
        for resampled in resampler.resample(None):
            yield resampled.to_ndarray().reshape(-1)


def _is_followed(frame: av.AudioFrame, following: av.AudioFrame | None) -> bool:
    """Whether the next frame bears a frame's time out: else it alone may be damaged."""
    if following is None or following.time is None or frame.time is None:
        return True
    late = following.time - frame.time - frame.samples / frame.sample_rate
    return abs(late) * SAMPLE_RATE < _GAPS.start


def _frames(source: VideoSource, container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    stream = container.streams.best('audio')
    if not isinstance(stream, av.AudioStream):
        raise NoSoundError(source.path)
    if stream.codec_context is None:
        raise UnreadableVideoError(source.path, 'there is no decoder for its sound')
    for packet in container.demux(stream):
        source.check_clock()
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue  # one frame is lost, and what is behind has its own time
