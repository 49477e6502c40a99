"""Whole decoded videos in memory, for small data sets that are read again and again."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from tvtsv2_mm.video.base_reader import VideoReader


class DecodedVideo(VideoReader):
    """A video whose frames are all in memory: an open reader's, which is closed then."""

    def __init__(self, reader: VideoReader) -> None:
        super().__init__(reader.path, reader.frame_starts, reader.fps, reader.duration)
        self.size = reader.size
        self._frames = reader.get_frames(np.arange(reader.num_frames))
        self.num_bytes = self._frames.nbytes
        reader.close()

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Copies of frames, uint8 (len(indices), H, W, 3)."""
        return self._frames[np.asarray(indices)]

    def close(self) -> None:
        """Nothing to free: the cache owns the frames."""


class VideoCache:
    """Decoded videos; those not used for the longest time go when the memory is used up.

    Each process has its own: every loader worker keeps up to ``max_bytes``.

    Args:
        max_bytes: Memory for the frames of all videos together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._videos: OrderedDict[str, DecodedVideo] = OrderedDict()

    def __len__(self) -> int:
        return len(self._videos)

    def get(self, path: str) -> DecodedVideo | None:
        """The decoded video, if it is here."""
        if path in self._videos:
            self._videos.move_to_end(path)
        return self._videos.get(path)

    def keep(self, reader: VideoReader) -> VideoReader:
        """Decode the whole video and keep it; one that would not fit is handed back as it is.

        Raises:
            UnreadableVideoError: If a frame cannot be decoded.
        """
        height, width = reader.size
        if reader.num_frames * height * width * 3 > self.max_bytes:
            return reader
        video = DecodedVideo(reader)
        self._videos[video.path] = video
        self.num_bytes += video.num_bytes
        while self.num_bytes > self.max_bytes:
            _, dropped = self._videos.popitem(last=False)
            self.num_bytes -= dropped.num_bytes
        return video

    def __reduce__(self) -> tuple:
        # A copy of the pipeline, or one sent to another process, starts without the frames.
        return VideoCache, (self.max_bytes,)
