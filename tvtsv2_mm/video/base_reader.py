"""The small interface that all decoders are used through."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NoReturn

import numpy as np

# Frames that are given out at a time where many are asked for.
BLOCK = 16


class VideoReader(ABC):
    """One opened video.

    Time 0 is where a player starts: frames that an edit list hides before it do not exist here.
    Pictures are turned and mirrored as the file asks for. Pixels are taken as square, also where
    the file says that they are not (its sample aspect ratio), as decord does, but for
    ``square_pixels`` of the scaling. A reader stays in the process that opened it: it cannot be
    pickled, and does not survive a fork.

    The readers of files are made of a VideoSource and, as ``scaling``, of the FrameScaling of their
    frames. They raise UnreadableVideoError, with the reason, where the file cannot be read as a
    video, and NotIndexableError where they would not find the right frames in it.

    Args:
        path: The file, or its name.
        frame_starts: float64 (N,), seconds at which each frame begins to be shown.
        fps: Frames a second, the mean over all frames; the header's where that is it to 5 %.
        duration: Seconds at which the last frame ends.

    Attributes:
        num_frames: Number of frames, N.
    """

    def __init__(self, path: str, frame_starts: np.ndarray, fps: float, duration: float) -> None:
        self.path = path
        self.num_frames = len(frame_starts)
        self.frame_starts = frame_starts
        self.fps = fps
        self.duration = duration

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames given out; decodes the first frame if none was yet."""
        _, height, width, _ = self.get_frames([0]).shape
        return height, width

    @abstractmethod
    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode frames.

        Args:
            indices: Frame indices, 0 <= i < num_frames, in any order, repeats allowed.

        Returns:
            uint8 array (len(indices), H, W, 3), RGB.

        Raises:
            UnreadableVideoError: If the stream is damaged.
        """

    def stream_frames(self, indices: np.ndarray, block: int = BLOCK) -> Iterator[np.ndarray]:
        """Decode many frames in one pass, without holding them all.

        Args:
            indices: int64 (N,), increasing.
            block: Frames that are given out at a time.

        Yields:
            uint8 arrays (n, H, W, 3), RGB, of the next n <= ``block`` frames.

        Raises:
            UnreadableVideoError: If the stream is damaged.
        """
        for start in range(0, len(indices), block):
            yield self.get_frames(indices[start:start + block])

    @abstractmethod
    def close(self) -> None:
        """Free what the decoder holds; nothing can be read then."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(f'{self.path}: an opened video cannot go to another process; send its '
                        'path, and open it there')
