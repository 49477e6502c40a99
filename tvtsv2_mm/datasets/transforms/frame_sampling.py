"""Choose the frames of a clip."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from mmcv.transforms import BaseTransform

from tvtsv2_mm.choices import FRAMES
from tvtsv2_mm.datasets import frame_indices
from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.held_out import number_of
from tvtsv2_mm.registry import TRANSFORMS

MODES = ('random', 'middle', 'ends')
SPACINGS = ('auto', 'index', 'time')


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class SampleClipFrames(BaseTransform):
    """Cut the wanted part of the video into equal intervals and take one frame of each.

    The part is ``span`` if there is one (transcripts), else ``start`` .. ``end`` (captions of a
    part; each may be missing), else the whole video.

    Required keys: video_reader, filename, rng (mode 'random'); optional: span, segments_s, start,
    end (seconds), sample_id (frames 'shuffled').

    Added keys: frame_inds (int64 (N,), N <= num_frames, not decreasing in a clip but for
    ``frames``), num_frames (the number asked for; with several clips, that of all together),
    num_views (the number of clips, where it is not 1), frame_spacing ('index', 'time' or 'fps':
    the rule that was used).

    Args:
        num_frames: Frames of the clip, T.
        mode: 'random' takes a random frame of each interval (training), 'middle' its middle one
            (evaluation). 'ends' goes from the first to the last frame, as the release's feature
            script does, always by index.
        num_clips: Clips of a multi-view test, which come one after the other. In mode 'middle' each
            takes another frame of each interval (see ``clip_frames``).
        clip_seconds: Mode 'ends': seconds of a clip, of which ``num_clips`` lie from the start of
            the part to its end (ImageBind; see ``spread_clips``).
        spacing: What is equal of the intervals. 'index': their number of frames, the paper's rule;
            a part with fewer frames than asked gives each once, and ``DecodeClip`` fills the rest.
            'time': their seconds; the frame that is shown is taken, a long one several times.
            'auto': 'time' where the frame rate of the part varies (see ``rate_varies``).
        fps: Frames a second of a clip that may be shorter than the part, instead of intervals: it
            lies in the middle of the part, or anywhere (mode 'random'). A part that is too short
            gives fewer frames.
        frames: What is shown of the chosen frames, to see how much a model knows of time:
            'natural', all in order; 'shuffled', each clip in another order; 'reversed', backwards;
            'single', the middle one of each clip alone, so that the model gets clips of one frame;
            'constant', that one as often as there are frames, a clip of the same length that stands
            still, also for models that read T frames and no other number. Of a video with fewer
            frames than asked, ``DecodeClip`` fills what is shown as it would fill the video.
        frames_seed: Of 'shuffled'. It and the video's name (``sample_id``) decide the order, which
            is the same in every process, run and epoch.

    Raises:
        UnusableSampleError: If the part, or a segment of it, lies beyond the end of the video.
    """

    num_frames: int = 12
    mode: str = 'random'
    num_clips: int = 1
    spacing: str = 'auto'
    fps: float | None = None
    clip_seconds: float | None = None
    frames: str = 'natural'
    frames_seed: int = 0

    def __post_init__(self) -> None:
        mode, spacing, fps = self.mode, self.spacing, self.fps
        if self.num_frames < 1:
            raise ValueError(f'num_frames must be at least 1, got {self.num_frames}')
        if mode not in MODES:
            raise ValueError(f'mode must be one of {MODES}, got {mode!r}')
        seconds = self.clip_seconds
        if seconds is not None and (seconds <= 0 or mode != 'ends'):
            raise ValueError("clip_seconds must be positive seconds, in mode 'ends', or None, got "
                             f'{seconds} in mode {mode!r}')
        check_frames(self.frames, self.frames_seed)
        if self.num_clips < 1 or (self.num_clips > 1 and mode != 'middle' and seconds is None):
            raise ValueError(f"num_clips must be at least 1, and 1 in all modes but 'middle' and "
                             f"'ends' with clip_seconds; got {self.num_clips} in mode {mode!r}")
        if spacing not in SPACINGS:
            raise ValueError(f'spacing must be one of {SPACINGS}, got {spacing!r}')
        if fps is not None and not 0 < fps < math.inf:
            raise ValueError(f'fps must be positive frames a second or None, got {fps}')
        if fps is not None and spacing != 'auto':
            raise ValueError(f'fps={fps} has a spacing of its own: leave out spacing={spacing!r}')
        if mode == 'ends' and (fps is not None or spacing == 'time'):
            raise ValueError(f"mode 'ends' goes by index: leave out fps={fps}, spacing={spacing!r}")

    def transform(self, results: dict) -> dict:
        """Add ``frame_inds``."""
        start, end = self._part(results)
        video = results['video_reader']
        first, stop = frame_indices.frames_of_span(video.frame_starts, (start, end))
        own_end = video.frame_starts[stop] if stop < video.num_frames else video.duration
        starts = video.frame_starts[first:stop]
        spacing = self._spacing_of(np.append(starts, own_end))
        if self.clip_seconds is not None:
            inds = first + frame_indices.spread_clips(
                starts, min(end, own_end), self.clip_seconds, self.num_frames,
                self.num_clips).ravel()
        elif spacing == 'index':
            inds = self._by_index(first, stop, results)
        else:
            inds = first + self._by_time(starts, min(end, own_end), results)
        if self.num_clips > 1:
            results['num_views'] = self.num_clips
        if self.frames != 'natural':  # which every training has, and no generator is needed for
            inds = frame_indices.show_frames(
                inds.reshape(self.num_clips, -1), self.frames, order_rng(results, self.frames_seed))
        results.update(
            frame_inds=inds.ravel(), frame_spacing=spacing,
            num_frames=self.num_clips * (1 if self.frames == 'single' else self.num_frames))
        return results

    def _spacing_of(self, frame_edges: np.ndarray) -> str:
        if self.spacing != 'auto':
            return self.spacing
        if self.fps is not None:
            return 'fps'
        varies = self.mode != 'ends' and frame_indices.rate_varies(frame_edges, self.num_frames)
        return 'time' if varies else 'index'

    def _by_index(self, first: int, stop: int, results: dict) -> np.ndarray:
        if self.mode == 'random':
            return frame_indices.random_frames(first, stop, self.num_frames, results['rng'])
        if self.mode == 'ends':
            return frame_indices.end_to_end_frames(first, stop, self.num_frames)
        return frame_indices.clip_frames(first, stop, self.num_frames, self.num_clips).ravel()

    def _by_time(self, frame_starts: np.ndarray, end: float, results: dict) -> np.ndarray:
        """Frames of the part, counted from its first one."""
        if self.mode == 'random':
            places = results['rng'].random(self.num_frames if self.fps is None else 1)
        else:
            places = (np.arange(self.num_clips)[:, None] + 0.5) / self.num_clips
        times = frame_indices.clip_times((frame_starts[0], end), self.num_frames, places, self.fps)
        times = times[..., :max(np.count_nonzero(times < end, axis=-1).max(), 1)]
        return frame_indices.frames_at(frame_starts, times).ravel()

    def _part(self, results: dict) -> tuple[float, float]:
        start, end = results.get('span') or (results.get('start'), results.get('end'))
        if start is None and end is None:
            return float('-inf'), float('inf')
        start = 0.0 if start is None else start
        end = float('inf') if end is None else end
        # All K segments have to be seen, so the last one must at least begin in the video.
        last_start = results['segments_s'][-1][0] if 'segments_s' in results else start
        duration = results['video_reader'].duration
        if last_start >= duration:
            raise UnusableSampleError(
                results['filename'], f'the annotation means its seconds {start:.2f} to {end:.2f}, '
                f'but the video ends at {duration:.2f}')
        return start, end


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class ShowFrames(BaseTransform):
    """``frames`` of :class:`SampleClipFrames` for frames that a sampler of MMAction2 has chosen.

    It stands behind the sampler; ``--frames`` of ``tools/test.py`` puts it there.

    Required keys: frame_inds (num_clips * clip_len,), num_clips, clip_len, filename.

    Modified keys: frame_inds, clip_len (1 with 'single').

    Args:
        frames, frames_seed: As of SampleClipFrames.
    """

    frames: str
    frames_seed: int = 0

    def __post_init__(self) -> None:
        check_frames(self.frames, self.frames_seed)

    def transform(self, results: dict) -> dict:
        """Change ``frame_inds``."""
        clips = frame_indices.show_frames(
            np.reshape(results['frame_inds'], (results['num_clips'], -1)), self.frames,
            order_rng(results, self.frames_seed))
        results.update(frame_inds=clips.ravel(), clip_len=clips.shape[1])
        return results


def check_frames(frames: str, seed: int) -> None:
    """Check the options of what is shown."""
    if frames not in FRAMES:
        raise ValueError(f'frames must be one of {FRAMES}, got {frames!r}')
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f'frames_seed must be a whole number, 0 or more, got {seed!r}')


def order_rng(results: Mapping, seed: int) -> np.random.Generator:
    """The generator that shuffles a video's frames: by its name, wherever the data set lies."""
    name = results.get('sample_id') or PurePath(results['filename']).name
    return np.random.default_rng((seed, number_of(str(name))))
