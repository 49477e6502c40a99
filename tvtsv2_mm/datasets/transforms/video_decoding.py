"""Open a video at the size that is wanted, and decode the frames that were chosen."""

import numpy as np
from mmcv.transforms import BaseTransform

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.video_cache import VideoCache
from tvtsv2_mm.datasets.video_reader import open_video
from tvtsv2_mm.registry import TRANSFORMS

SHORT_CLIP_POLICIES = ('repeat_last', 'black', 'error')


@TRANSFORMS.register_module()
class OpenVideo(BaseTransform):
    """Open a video; its frames will come at the size given here, so no resize follows.

    Required Keys:

    - filename
    - video_bytes (optional: the content, where it is not in a file)

    Added Keys:

    - video_reader
    - total_frames
    - fps
    - duration (seconds; only if the annotation gave none)

    Args:
        short_side: Pixels of the shorter side of the frames; None keeps the size of the file. The
            release takes int(1.2 * crop size): 268 for 224.
        num_threads: Decoding threads of one video; loader workers are the better parallelism.
        cache_mb: Megabytes of 2**20 bytes, in each loader worker, for keeping whole decoded videos
            in memory. For small data sets of small videos; 0 keeps none.

    Raises:
        UnreadableVideoError: If the file cannot be read as a video.
    """

    def __init__(self, *, short_side: int | None = None, num_threads: int = 1,
                 cache_mb: float = 0) -> None:
        if short_side is not None and short_side < 1:
            raise ValueError(f'short_side must be at least 1 pixel or None, got {short_side}')
        if num_threads < 1:
            raise ValueError(f'num_threads must be at least 1, got {num_threads}')
        if cache_mb < 0:
            raise ValueError(f'cache_mb must not be negative, got {cache_mb}')
        self.short_side = short_side
        self.num_threads = num_threads
        self.cache_mb = cache_mb
        self._cache = VideoCache(int(cache_mb * 2**20)) if cache_mb else None

    def transform(self, results: dict) -> dict:
        """Add the reader and what it knows."""
        path = results['filename']
        video = self._cache.get(path) if self._cache is not None else None
        if video is None:
            video = open_video(path, short_side=self.short_side, num_threads=self.num_threads,
                               data=results.get('video_bytes'))
            if self._cache is not None:
                video = self._cache.keep(video)
        results['video_reader'] = video
        results['total_frames'] = video.num_frames
        results['fps'] = video.fps
        if results.get('duration') is None:
            results['duration'] = video.duration
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(short_side={self.short_side}, '
                f'num_threads={self.num_threads}, cache_mb={self.cache_mb})')


@TRANSFORMS.register_module()
class DecodeClip(BaseTransform):
    """Decode the chosen frames, fill a clip that has fewer than asked, and close the video.

    Required Keys:

    - video_reader
    - frame_inds (int (N,))
    - num_frames (T >= N, the frames asked for)
    - filename

    Added Keys:

    - imgs (uint8 (T, H, W, 3), RGB)
    - num_valid_frames (frames that the model shall see; the data preprocessor blackens the rest)

    Removed Keys:

    - video_reader

    Args:
        short_clip: What to do when N < T. 'repeat_last': the last frame stands still. 'black':
            black frames follow, exactly 0 after normalisation, which is what the release does.
            'error': the sample is unusable.

    Raises:
        UnreadableVideoError: If the stream is damaged.
        UnusableSampleError: With 'error', if the video has too few frames.
    """

    def __init__(self, *, short_clip: str = 'repeat_last') -> None:
        if short_clip not in SHORT_CLIP_POLICIES:
            raise ValueError(f'short_clip must be one of {SHORT_CLIP_POLICIES}, got {short_clip!r}')
        self.short_clip = short_clip

    def transform(self, results: dict) -> dict:
        """Add ``imgs``."""
        inds, num_frames = results['frame_inds'], results['num_frames']
        num_missing = num_frames - len(inds)
        if num_missing and self.short_clip == 'error':
            raise UnusableSampleError(
                results['filename'], f'it has {len(inds)} frames where {num_frames} are asked for '
                "(short_clip='repeat_last' or 'black' would fill them)")
        if num_missing and self.short_clip == 'repeat_last':
            inds = np.concatenate([inds, np.full(num_missing, inds[-1])])
        reader = results.pop('video_reader')
        try:
            imgs = reader.get_frames(inds)
        finally:
            reader.close()
        results['num_valid_frames'] = len(imgs)
        if len(imgs) < num_frames:
            black = np.zeros((num_missing, *imgs.shape[1:]), dtype=imgs.dtype)
            imgs = np.concatenate([imgs, black])
        results['imgs'] = imgs
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(short_clip={self.short_clip!r})'
