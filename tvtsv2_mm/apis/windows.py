"""A video as a row of windows of time: opened once, decoded once, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmcv.transforms import Compose
from torch.utils.data import IterableDataset, get_worker_info

from tvtsv2_mm.apis.clips import (
    EndOfVideo,
    Failure,
    Video,
    build_clip_transforms,
    failure_of,
    name_of,
    opened,
)
from tvtsv2_mm.datasets.frame_indices import windows_of
from tvtsv2_mm.video.errors import SampleError


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of ``seconds``, one every ``stride`` seconds (see ``windows_of``).

    Raises:
        ValueError: one is not positive.
    """

    seconds: float
    stride: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < float('inf'):
                raise ValueError(f'{name} of windows must be a positive number, got {value}')


class WindowSource(IterableDataset):
    """The windows of videos as samples, and an :class:`EndOfVideo` or a :class:`Failure` of each.

    Each loader worker takes every n-th video. Of a video that breaks off some windows have come
    when its failure comes.

    Args:
        videos, transforms, names: as of :class:`~tvtsv2_mm.apis.clips.ClipSource`.
        windows: of each video. Their span travels with each sample.
    """

    def __init__(self, videos: Sequence[Video], transforms: Sequence[dict], windows: Windows,
                 names: Sequence[str] | None = None) -> None:
        self.videos = videos
        self.windows = windows
        self.names = names
        self._opening, self._sampling, self._decoding, *rest = build_clip_transforms(transforms)
        self._rest = Compose(rest)

    def __iter__(self) -> Iterator[tuple[str, dict | Failure | EndOfVideo]]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for index in range(first, len(self.videos), step):
            name = name_of(self.videos[index], index)
            count = 0
            try:
                for clip in self._clips(index, name):
                    yield name, clip
                    count += 1
            except (SampleError, OSError) as error:
                yield name, failure_of(name, error)
            else:
                yield name, EndOfVideo(clips=count)

    def _clips(self, index: int, name: str) -> Iterator[dict]:
        with opened(self.videos[index], name, self._opening) as of_video:
            shared: dict[str, Any] = of_video | dict(
                sample_id=self.names[index] if self.names else name)
            spans = windows_of(of_video['video_reader'].duration, self.windows.seconds,
                               self.windows.stride)
            clips = [self._sampling.transform(dict(
                shared, span=tuple(span), rng=np.random.default_rng((index, number))))
                for number, span in enumerate(spans.tolist())]
            for clip in self._decoding.stream_clips(clips):
                yield self._rest(clip)
