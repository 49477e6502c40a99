"""Open a video at the size that is wanted, and decode the frames that were chosen."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np
from mmcv.transforms import BaseTransform

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.registry import TRANSFORMS
from tvtsv2_mm.video.cache import VideoCache
from tvtsv2_mm.video.frame_scaling import FrameScaling
from tvtsv2_mm.video.isolated_reader import DecodingProcess
from tvtsv2_mm.video.opening import BACKENDS, open_video

SHORT_CLIP_POLICIES = ('repeat_last', 'black', 'error')


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class OpenVideo(BaseTransform):
    """Open a video; its frames will come at the size given here, so no resize follows.

    Of several clips of one video (``clips_per_video``) it is opened once.

    Required keys: filename; optional: video_bytes (the file's bytes, which are taken out; then
    ``filename`` is only its name in messages).

    Added keys: video_reader, total_frames, fps, duration (seconds; only if the annotation gave
    none).

    Args:
        short_side: Pixels of the shorter side of the frames; None keeps the size of the file. The
            release takes int(1.2 * crop size): 268 for 224.
        interpolation: How full-size frames get to it: 'nearest' (the release), 'bilinear' or
            'bicubic' (CLIP), each equal to PIL's to the last bit whoever decodes; 'cv2_bilinear',
            OpenCV's, which does not smooth where it shrinks. 'fast' leaves it to the decoder's own
            scaler, whose pixels are others (docs/data.md).
        keep_ratio: False squeezes frames into a square of ``short_side``.
        square_pixels: True gives frames the shape that players show where the pixels of the file
            are not square; False leaves them as stored, as decord and the release do.
        backend: The decoder: 'pyav', 'decord' (also decord2), or 'auto', the one that measures
            fastest with the same frames. A file in which it would not find the right frames is
            read with PyAV.
        num_threads: Decoding threads of one video; loader workers are the better parallelism.
        deadline: Seconds that opening a video may take, and again decoding; None sets no limit.
            PyAV looks at the clock before each packet.
        isolate: Decode in a process of its own, one for each loader worker. There the deadline
            also ends a decoder that is stuck in native code, and a crash costs only the sample. It
            costs one more copy of the frames.
        cache_mb: Megabytes of 2**20 bytes, in each loader worker, for keeping whole decoded videos
            in memory. For small data sets of small videos; 0 keeps none.

    Raises:
        UnreadableVideoError: If the file cannot be read as a video, or not before the deadline.
        ImportError: If the backend is not installed.
    """

    short_side: int | None = None
    interpolation: str = 'nearest'
    keep_ratio: bool = True
    square_pixels: bool = False
    backend: str = 'auto'
    num_threads: int = 1
    deadline: float | None = 60.0
    isolate: bool = False
    cache_mb: float = 0

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f'backend must be one of {BACKENDS}, got {self.backend!r}')
        if self.deadline is not None and self.deadline <= 0:
            raise ValueError(f'deadline must be positive seconds or None, got {self.deadline}')
        if self.isolate and not hasattr(os, 'fork'):
            raise ValueError('isolate=True needs an operating system that can fork')
        if self.num_threads < 1:
            raise ValueError(f'num_threads must be at least 1, got {self.num_threads}')
        if self.cache_mb < 0:
            raise ValueError(f'cache_mb must not be negative, got {self.cache_mb}')
        self.scaling = FrameScaling(
            short_side=self.short_side, interpolation=self.interpolation,
            keep_ratio=self.keep_ratio, square_pixels=self.square_pixels)
        self._open = DecodingProcess().open if self.isolate else open_video
        self._cache = VideoCache(int(self.cache_mb * 2**20)) if self.cache_mb else None

    def transform(self, results: dict) -> dict:
        """Add the reader and what it knows."""
        return self.transform_clips([results])[0]

    def transform_clips(self, clips: list[dict]) -> list[dict]:
        """Add one reader to all clips of a video, and what it knows."""
        path = clips[0]['filename']
        video = self._cache.get(path) if self._cache is not None else None
        if video is None:
            video = self._open(
                path, data=clips[0].get('video_bytes'), backend=self.backend,
                num_threads=self.num_threads, deadline=self.deadline, **asdict(self.scaling))
            if self._cache is not None:
                video = self._cache.keep(video)
        for results in clips:
            results.pop('video_bytes', None)
            results.update(video_reader=video, total_frames=video.num_frames, fps=video.fps)
            if results.get('duration') is None:
                results['duration'] = video.duration
        return clips


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class DecodeClip(BaseTransform):
    """Decode the chosen frames, fill a clip that has fewer than asked, and close the video.

    Of several clips of one video (``clips_per_video``) all frames are decoded in one pass.

    Required keys: video_reader (which is taken out), frame_inds (int (N,)), num_frames (T >= N, the
    frames asked for), filename; optional: num_views (N and T are those of so many clips, one after
    the other).

    Added keys: imgs (uint8 (T, H, W, 3), RGB), num_valid_frames (frames of each view that the model
    shall see; the data preprocessor blackens the rest).

    Args:
        short_clip: What to do when N < T. 'repeat_last': the last frame stands still. 'black':
            black frames follow in each view, exactly 0 after normalisation, which is what the
            release does. 'error': the sample is unusable.

    Raises:
        UnreadableVideoError: If the stream is damaged.
        UnusableSampleError: With 'error', if the video has too few frames.
    """

    short_clip: str = 'repeat_last'

    def __post_init__(self) -> None:
        if self.short_clip not in SHORT_CLIP_POLICIES:
            raise ValueError(
                f'short_clip must be one of {SHORT_CLIP_POLICIES}, got {self.short_clip!r}')

    def transform(self, results: dict) -> dict:
        """Add ``imgs``."""
        return self.transform_clips([results])[0]

    def transform_clips(self, clips: list[dict]) -> list[dict]:
        """Add ``imgs`` to all clips of a video, decoded in one pass."""
        with closing(clips[0]['video_reader']) as reader:
            inds = [self._full_length(results) for results in clips]
            imgs = np.split(reader.get_frames(np.concatenate([part.ravel() for part in inds])),
                            np.cumsum([part.size for part in inds])[:-1])
        for results, part, frames in zip(clips, inds, imgs, strict=True):
            self._add(results, part, frames)
        return clips

    def stream_clips(self, clips: list[dict]) -> Iterator[dict]:
        """Add ``imgs`` to the clips of one video one after the other, decoded in one pass.

        Of clips that share frames each frame is decoded once. In memory are the frames of one clip,
        those that it shares with later ones, and a few that lie ahead: none of a clip that begins
        earlier than the one before it.
        """
        with closing(clips[0]['video_reader']) as reader:
            inds = [self._full_length(results) for results in clips]
            wanted = np.unique(np.concatenate([part.ravel() for part in inds]))
            # The first frame that is needed by each clip, or a later one.
            first = np.minimum.accumulate([part.min() for part in inds][::-1])[::-1]
            coming = zip(wanted.tolist(), chain.from_iterable(reader.stream_frames(wanted)),
                         strict=True)
            held: dict[int, np.ndarray] = {}
            for results, part, start in zip(clips, inds, first, strict=True):
                held = {index: frame for index, frame in held.items() if index >= start}
                last = part.max()
                while last not in held:
                    held.update([next(coming)])
                yield self._add(results, part, np.stack([held[i] for i in part.ravel().tolist()]))

    def _add(self, results: dict, inds: np.ndarray, frames: np.ndarray) -> dict:
        """Add the decoded frames of a clip, filled with black ones where some are missing."""
        del results['video_reader']
        results['num_valid_frames'] = inds.shape[1]
        num_missing = results['num_frames'] // len(inds) - inds.shape[1]
        if num_missing:
            views = frames.reshape(*inds.shape, *frames.shape[1:])
            views = np.pad(views, [(0, 0), (0, num_missing), *[(0, 0)] * 3])  # black
            frames = views.reshape(-1, *frames.shape[1:])
        results['imgs'] = frames
        return results

    def _full_length(self, results: dict) -> np.ndarray:
        """The frames to decode, (views, N): with 'repeat_last', as many as are asked for."""
        inds = np.reshape(results['frame_inds'], (results.get('num_views', 1), -1))
        num_asked = results['num_frames'] // len(inds)
        num_missing = num_asked - inds.shape[1]
        if num_missing and self.short_clip == 'error':
            raise UnusableSampleError(
                results['filename'], f'it has {inds.shape[1]} frames where {num_asked} are '
                "asked for (short_clip='repeat_last' or 'black' would fill them)")
        if self.short_clip == 'repeat_last':
            inds = np.pad(inds, ((0, 0), (0, num_missing)), mode='edge')
        return inds
