"""The small interface that all decoders are used through."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np


class VideoReader(ABC):
    """One opened video.

    Time 0 is where a player starts: frames that an edit list hides before it do not exist here.
    Pictures are turned and mirrored as the file asks for. Pixels are taken as square, also where
    the file says that they are not (its sample aspect ratio), as decord does, but for
    ``square_pixels`` of the scaling. A reader stays in the process that opened it: it cannot be
    pickled, and does not survive a fork.

    Attributes:
        path: The file, or its name.
        num_frames: Number of frames, N.
        fps: Frames a second, the mean over all frames; the header's where that is it to 5 %.
        frame_starts: float64 (N,), seconds at which each frame begins to be shown.
        duration: Seconds at which the last frame ends.
        size: (height, width) of the frames given out.
    """

    path: str
    num_frames: int
    fps: float
    frame_starts: np.ndarray
    duration: float
    size: tuple[int, int]

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

    @abstractmethod
    def close(self) -> None:
        """Free what the decoder holds; nothing can be read then."""

    def __reduce__(self) -> None:
        raise TypeError(f'{self.path}: an opened video cannot go to another process; send its '
                        'path, and open it there')
