"""Frames of a sample, and what is said in each of its segments."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from tvtsv2_mm.datasets.transforms import (
    DecodeClip,
    OpenVideo,
    SampleClipFrames,
    SampleTranscriptSegments,
)
from tvtsv2_mm.video.errors import SampleError

_FRAMES_PER_SEGMENT = 3
_FRAMES_OF_A_CAPTION = 12
_SHORT_SIDE = 112
_JPEG_QUALITY = 80


@dataclass(kw_only=True)
class Strip:
    """A row of frames with its text.

    Attributes:
        title: Which seconds of the video.
        texts: What is said in them, or the captions.
        frames: Pairs of a time in seconds and a JPEG.
    """

    title: str
    texts: Sequence[str]
    frames: list[tuple[float, bytes]]


@dataclass(kw_only=True)
class Sheet:
    """A sample as training may see it, or the reason why it cannot be shown."""

    path: str
    strips: list[Strip] = field(default_factory=list)
    reason: str = ''


def make_sheet(record: dict, videos: str | Path, sampler: SampleTranscriptSegments,
               rng: np.random.Generator) -> Sheet:
    """Draw and decode a sample with the transforms of training.

    Args:
        record: A transcript or captions.
        videos: Folder of the videos.
        sampler: Draws the segments.
        rng: Of this draw.
    """
    results = dict(record, filename=str(Path(videos, record['path'])), rng=rng)
    is_transcript = 'captions' not in record
    number = (_FRAMES_PER_SEGMENT * sampler.num_segments if is_transcript
              else _FRAMES_OF_A_CAPTION)
    try:
        if is_transcript:
            results = sampler.transform(results)
        results = OpenVideo(short_side=_SHORT_SIDE).transform(results)
        results = SampleClipFrames(num_frames=number, mode='middle').transform(results)
        times = results['video_reader'].frame_starts[results['frame_inds']]
        frames = DecodeClip().transform(results)['imgs']
    except SampleError as error:
        return Sheet(path=record['path'], reason=error.reason)
    # Of a video with fewer frames than asked for, the last one stands still.
    pictures = [(float(time), _jpeg(frame)) for time, frame in zip(times, frames, strict=False)]
    if not is_transcript:
        part = f'{record.get("start", 0):g} s to {record.get("end", results["duration"]):g} s'
        return Sheet(path=record['path'], strips=[
            Strip(title=part, texts=record['captions'], frames=pictures)])
    return Sheet(path=record['path'], strips=[
        Strip(title=f'{start:.1f} s to {end:.1f} s', texts=[text],
              frames=pictures[k * _FRAMES_PER_SEGMENT:(k + 1) * _FRAMES_PER_SEGMENT])
        for k, (text, (start, end)) in enumerate(
            zip(results['texts'], results['segments_s'], strict=True))])


def _jpeg(frame: np.ndarray) -> bytes:
    done, data = cv2.imencode('.jpg', frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError(f'OpenCV cannot write a picture of shape {frame.shape} as JPEG')
    return data.tobytes()
