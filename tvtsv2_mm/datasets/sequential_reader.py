"""PyAV for files whose packets do not tell the order of their frames: decoding tells it."""

from collections.abc import Iterator

import av
import numpy as np

from tvtsv2_mm.datasets.errors import UnreadableVideoError
from tvtsv2_mm.datasets.packet_index import (
    MAX_KEPT_BYTES,
    PacketIndex,
    mean_fps,
    packets_of,
)
from tvtsv2_mm.datasets.pyav_reader import PyAVReader
from tvtsv2_mm.datasets.video_header import VideoHeader, open_stream

# Enough to find the order of the frames; the pictures are not looked at.
_WITHOUT_PIXELS = {'skip_loop_filter': 'all', 'skip_idct': 'all'}


class SequentialReader(PyAVReader):
    """Frames by index without ever seeking: the k-th frame is the k-th that the decoder gives.

    Opening decodes all frames, as cheaply as can be, with the number of each packet for its time;
    what the decoder gives says in which packet it was. Then the wanted frames are decoded from the
    first packet on. For AVI, MPEG streams, gif and the like.

    Args:
        source: A video.
        scaling: Size of the frames, and how they get it.

    Raises:
        UnreadableVideoError: With the reason, if the file cannot be read as a video.
    """

    def _make_index(self, header: VideoHeader) -> PacketIndex:
        times, packets, order, num_bytes = [], [], [], 0
        with open_stream(self._source) as (container, stream):
            codec = stream.codec_context
            codec.options = _WITHOUT_PIXELS
            for number, packet in enumerate(packets_of(container, stream, self._source)):
                times.append(packet.pts)
                packet.pts = number
                num_bytes += packet.size
                if num_bytes <= MAX_KEPT_BYTES:
                    packets.append(packet)
                order += [frame.pts for frame in codec.decode(packet)]
            order += [frame.pts for frame in codec.decode(None)]
            time_base = float(stream.time_base)
            start = (container.start_time or 0) / av.time_base
        if not order:
            raise UnreadableVideoError(
                self.path, f'not one frame of its {header.codec} stream can be decoded')
        starts = self._starts([times[packet] for packet in order], time_base, start, header)
        fps = header.fps or mean_fps(starts)
        return PacketIndex(
            times=np.arange(len(times)), keys=[0], shown=np.array(order), frame_starts=starts,
            fps=fps, duration=float(starts[-1] + 1 / fps),
            packets=packets if num_bytes <= MAX_KEPT_BYTES else None)

    def _starts(self, times: list[int | None], time_base: float, start: float,
                header: VideoHeader) -> np.ndarray:
        # The time stamps of AVI are made up of the order of the packets, not that of the frames.
        if None not in times and header.container != 'avi' and np.all(np.diff(times) >= 0):
            return np.array(times) * time_base - start
        if not header.fps:
            raise UnreadableVideoError(self.path, 'it has neither time stamps nor a frame rate')
        return np.arange(len(times)) / header.fps

    def _read_from(self, first: int) -> Iterator[av.Packet]:
        with open_stream(self._source) as (container, stream):
            for number, packet in enumerate(packets_of(container, stream, self._source)):
                packet.pts = number
                yield packet
