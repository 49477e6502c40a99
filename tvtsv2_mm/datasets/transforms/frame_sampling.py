"""Choose the frames of a clip."""

from dataclasses import dataclass

import numpy as np
from mmcv.transforms import BaseTransform

from tvtsv2_mm.datasets import frame_indices
from tvtsv2_mm.datasets.errors import UnusableSampleError
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
    end (seconds).

    Added keys: frame_inds (int64 (N,), N <= num_frames, not decreasing in a clip), num_frames (the
    number asked for; with several clips, that of all together), num_views (the number of clips,
    where it is not 1), frame_spacing ('index', 'time' or 'fps': the rule that was used).

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

    Raises:
        UnusableSampleError: If the part, or a segment of it, lies beyond the end of the video.
    """

    num_frames: int = 12
    mode: str = 'random'
    num_clips: int = 1
    spacing: str = 'auto'
    fps: float | None = None
    clip_seconds: float | None = None

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
        if self.num_clips < 1 or (self.num_clips > 1 and mode != 'middle' and seconds is None):
            raise ValueError(f"num_clips must be at least 1, and 1 in all modes but 'middle' and "
                             f"'ends' with clip_seconds; got {self.num_clips} in mode {mode!r}")
        if spacing not in SPACINGS:
            raise ValueError(f'spacing must be one of {SPACINGS}, got {spacing!r}')
        if fps is not None and fps <= 0:
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
        results.update(frame_inds=inds, frame_spacing=spacing,
                       num_frames=self.num_clips * self.num_frames)
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
