"""Choose the frames of a clip."""

from mmcv.transforms import BaseTransform

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.frame_indices import (
    clip_frames,
    frames_of_span,
    middle_frames,
    random_frames,
)
from tvtsv2_mm.registry import TRANSFORMS

MODES = ('random', 'middle')


@TRANSFORMS.register_module()
class SampleClipFrames(BaseTransform):
    """Cut the wanted part of the video into equal intervals of frames and take one of each.

    The part is ``span`` if there is one (transcripts), else ``start`` .. ``end`` (captions of a
    part; each may be missing), else the whole video. A part with fewer frames than asked gives all
    its frames; ``DecodeClip`` fills the rest.

    Required Keys:

    - video_reader
    - rng (mode 'random')
    - filename
    - span, segments_s, start, end (optional, seconds)

    Added Keys:

    - frame_inds (int64 (N,), N <= num_frames, increasing)
    - num_frames (the number asked for; with several clips, that of all together)
    - num_views (the number of clips, where it is not 1)

    Args:
        num_frames: Frames of the clip, T.
        mode: 'random' takes a random frame of each interval (training), 'middle' its middle one
            (evaluation).
        num_clips: Clips of a multi-view test, mode 'middle' only: each takes another frame of each
            interval (see ``clip_frames``), and they come one after the other. A part with fewer
            frames than asked stands still at its end, in each clip.

    Raises:
        UnusableSampleError: If the part, or a segment of it, lies beyond the end of the video.
    """

    def __init__(self, *, num_frames: int = 12, mode: str = 'random',
                 num_clips: int = 1) -> None:
        if num_frames < 1:
            raise ValueError(f'num_frames must be at least 1, got {num_frames}')
        if mode not in MODES:
            raise ValueError(f'mode must be one of {MODES}, got {mode!r}')
        self.num_frames = num_frames
        if num_clips < 1 or (num_clips > 1 and mode != 'middle'):
            raise ValueError(f"num_clips must be at least 1, and 1 in all modes but 'middle'; got "
                             f'{num_clips} in mode {mode!r}')
        self.mode = mode
        self.num_clips = num_clips

    def transform(self, results: dict) -> dict:
        """Add ``frame_inds``."""
        first, stop = self._part(results)
        if self.num_clips > 1:
            inds = clip_frames(first, stop, self.num_frames, self.num_clips).ravel()
            results['num_views'] = self.num_clips
        elif self.mode == 'middle':
            inds = middle_frames(first, stop, self.num_frames)
        else:
            inds = random_frames(first, stop, self.num_frames, results['rng'])
        results['frame_inds'] = inds
        results['num_frames'] = self.num_clips * self.num_frames
        return results

    def _part(self, results: dict) -> tuple[int, int]:
        video = results['video_reader']
        span = results.get('span') or (results.get('start'), results.get('end'))
        start, end = span
        if start is None and end is None:
            return 0, video.num_frames
        start = 0.0 if start is None else start
        end = float('inf') if end is None else end
        # All K segments have to be seen, so the last one must at least begin in the video.
        last_start = results['segments_s'][-1][0] if 'segments_s' in results else start
        if last_start >= video.duration:
            raise UnusableSampleError(
                results['filename'], f'the annotation means its seconds {start:.2f} to {end:.2f}, '
                f'but the video ends at {video.duration:.2f}')
        return frames_of_span(video.frame_starts, (start, end))

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(num_frames={self.num_frames}, mode={self.mode!r}, '
                f'num_clips={self.num_clips})')
