"""Reads from the first frame on, with PyAV: for files in which no frame can be found by seeking."""

from collections.abc import Sequence

import av
import numpy as np

from tvtsv2_mm.datasets.base_reader import VideoReader
from tvtsv2_mm.datasets.errors import UnreadableVideoError
from tvtsv2_mm.datasets.frame_pixels import FramePixels
from tvtsv2_mm.datasets.packet_index import mean_fps
from tvtsv2_mm.datasets.video_header import header_of, open_stream
from tvtsv2_mm.datasets.video_source import VideoSource


class SequentialReader(VideoReader):
    """Frames by index without ever seeking: the k-th frame is the k-th that the decoder gives.

    The frames are decoded once to count them and once more to fetch them.

    Args:
        source: A video.
        short_side: Pixels of the shorter side of the frames; None keeps the size of the file.

    Raises:
        UnreadableVideoError: With the reason, if the file cannot be read as a video.
    """

    def __init__(self, source: VideoSource, *, short_side: int | None = None) -> None:
        self.path = source.path
        self._source = source
        self._pixels = FramePixels(short_side)
        source.start_clock()
        with open_stream(source) as (container, stream):
            header = header_of(container, stream, source.path)
            offset = (container.start_time or 0) / av.time_base
            times = []
            for frame in container.decode(stream):
                source.check_clock()
                if not times:
                    self.size = self._pixels.size_of(frame)
                times.append(frame.time)
        if not times:
            raise UnreadableVideoError(
                self.path, f'not one frame of its {header.codec} stream can be decoded')
        self.num_frames = len(times)
        # The time stamps of AVI are made up of the order of the packets, not that of the frames.
        if None in times or header.container == 'avi' or np.any(np.diff(times) < 0):
            if not header.fps:
                raise UnreadableVideoError(
                    self.path, 'it has neither time stamps nor a frame rate')
            times, offset = np.arange(self.num_frames) / header.fps, 0.0
        self.frame_starts = np.asarray(times, dtype=np.float64) - offset
        self.fps = header.fps or mean_fps(self.frame_starts)
        self.duration = float(self.frame_starts[-1] + 1 / self.fps)

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """See :meth:`VideoReader.get_frames`."""
        self._source.start_clock()
        wanted, places = np.unique(np.asarray(indices), return_inverse=True)
        frames = np.empty((len(wanted), *self.size, 3), dtype=np.uint8)
        num_found = 0
        with open_stream(self._source) as (container, stream):
            for i, frame in enumerate(container.decode(stream)):
                self._source.check_clock()
                if i == wanted[num_found]:
                    self._pixels.write(frame, frames[num_found])
                    num_found += 1
                    if num_found == len(wanted):
                        in_order = np.array_equal(places, np.arange(len(wanted)))
                        return frames if in_order else frames[places]
        raise UnreadableVideoError(self.path, 'its stream is damaged: it ends early')

    def close(self) -> None:
        """Nothing stays open."""
