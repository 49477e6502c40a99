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
    """A row of frames with its text."""

    title: str  # which seconds of the video
    texts: Sequence[str]  # what is said in them, or the captions
    frames: list[tuple[float, bytes]]  # pairs of a time in seconds and a JPEG


@dataclass(kw_only=True)
class Sheet:
    """A sample as training may see it, or the reason why it cannot be shown."""

    path: str
    strips: list[Strip] = field(default_factory=list)
    reason: str = ''


def make_sheet(record: dict, videos: str | Path, sampler: SampleTranscriptSegments,
               rng: np.random.Generator) -> Sheet:
    """Draw and decode a transcript or captions with the transforms of training."""
    results = dict(record, filename=str(Path(videos, record['path'])), rng=rng)
    is_transcript = 'captions' not in record
    num_rows, each = ((sampler.num_segments, _FRAMES_PER_SEGMENT) if is_transcript
                      else (1, _FRAMES_OF_A_CAPTION))
    try:
        if is_transcript:
            results = sampler.transform(results)
        results = OpenVideo(short_side=_SHORT_SIDE).transform(results)
        results = SampleClipFrames(num_frames=num_rows * each, mode='middle').transform(results)
        times = results['video_reader'].frame_starts[results['frame_inds']]
        frames = DecodeClip().transform(results)['imgs']
    except SampleError as error:
        return Sheet(path=record['path'], reason=error.reason)
    if is_transcript:
        rows = [(f'{start:.1f} s to {end:.1f} s', [text]) for text, (start, end) in zip(
            results['texts'], results['segments_s'], strict=True)]
    else:
        part = f'{record.get("start", 0):g} s to {record.get("end", results["duration"]):g} s'
        rows = [(part, record['captions'])]
    # Of a video with fewer frames than asked for, the last one stands still.
    pictures = [(float(time), _jpeg(frame)) for time, frame in zip(times, frames, strict=False)]
    return Sheet(path=record['path'], strips=[
        Strip(title=title, texts=texts, frames=pictures[k * each:(k + 1) * each])
        for k, (title, texts) in enumerate(rows)])


def _jpeg(frame: np.ndarray) -> bytes:
    _, data = cv2.imencode('.jpg', frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()
