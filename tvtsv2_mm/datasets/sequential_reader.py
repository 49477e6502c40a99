"""Reads from the first frame on, with PyAV: for files in which decord cannot find a frame."""

from collections.abc import Sequence

import av
import numpy as np

from tvtsv2_mm.datasets.errors import UnreadableVideoError
from tvtsv2_mm.datasets.video_header import VideoHeader, open_stream


class SequentialVideoReader:
    """Frames by index without ever seeking: the k-th frame is the k-th that the decoder gives.

    Slower than :class:`~tvtsv2_mm.datasets.video_reader.VideoReader`, whose interface it has: the
    frames are decoded once to count them and once more to fetch them.

    Args:
        path: A video file.
        header: Its header.
        short_side: Pixels of the shorter side of the frames; None keeps the size of the file.
        num_threads: Decoding threads.
        data: The content, where it is not in a file.

    Raises:
        UnreadableVideoError: With the reason, if the file cannot be read as a video.
    """

    def __init__(self, path: str, *, header: VideoHeader, short_side: int | None = None,
                 num_threads: int = 1, data: bytes | None = None) -> None:
        self.path = path
        self.size = header.size_for_short_side(short_side)
        self._num_threads = num_threads
        self._data = data
        with open_stream(path, num_threads, data) as (container, stream):
            offset = (container.start_time or 0) / av.time_base
            times = [frame.time for frame in container.decode(stream)]
        if not times:
            raise UnreadableVideoError(
                path, f'not one frame of its {header.codec} stream can be decoded')
        self.num_frames = len(times)
        # The time stamps of AVI are made up of the order of the packets, not that of the frames.
        if None in times or header.container == 'avi' or np.any(np.diff(times) < 0):
            if not header.fps:
                raise UnreadableVideoError(path, 'it has neither time stamps nor a frame rate')
            times, offset = np.arange(self.num_frames) / header.fps, 0.0
        self.frame_starts = np.asarray(times, dtype=np.float64) - offset
        self.fps = header.fps or self._mean_fps()
        self.duration = float(self.frame_starts[-1] + 1 / self.fps)

    def _mean_fps(self) -> float:
        seconds = self.frame_starts[-1] - self.frame_starts[0]
        return (self.num_frames - 1) / seconds if seconds > 0 else 1.0

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode frames.

        Args:
            indices: Frame indices, 0 <= i < num_frames, in any order, repeats allowed.

        Returns:
            uint8 array (len(indices), H, W, 3), RGB.

        Raises:
            UnreadableVideoError: If the stream is damaged.
        """
        wanted, places = np.unique(np.asarray(indices), return_inverse=True)
        frames = np.empty((len(wanted), *self.size, 3), dtype=np.uint8)
        num_found = 0
        with open_stream(self.path, self._num_threads, self._data) as (container, stream):
            for i, frame in enumerate(container.decode(stream)):
                if i == wanted[num_found]:
                    frames[num_found] = self._pixels(frame)
                    num_found += 1
                    if num_found == len(wanted):
                        in_order = np.array_equal(places, np.arange(len(wanted)))
                        return frames if in_order else frames[places]
        raise UnreadableVideoError(self.path, 'its stream is damaged: it ends early')

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """RGB pixels at the wanted size, turned as the file asks for."""
        turns = frame.rotation // 90 % 4
        height, width = self.size if turns % 2 == 0 else self.size[::-1]
        rgb = frame.reformat(width=width, height=height, format='rgb24', interpolation='BICUBIC')
        return np.rot90(rgb.to_ndarray(), turns)

    def close(self) -> None:
        """Nothing stays open."""
