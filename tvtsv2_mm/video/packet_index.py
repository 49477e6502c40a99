"""Which packet of a file holds which frame, and when it is shown; nothing is decoded for it."""

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

from tvtsv2_mm.video.errors import NotIndexableError, UnreadableVideoError
from tvtsv2_mm.video.header import VideoHeader
from tvtsv2_mm.video.source import VideoSource

# Files whose packets carry the time at which their frame is shown.
_WITH_TIMES = {'mov', 'matroska', 'flv'}

# Packets up to so many bytes are kept from indexing to decoding, so that the file is read once.
MAX_KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class PacketIndex:
    """The packets of a stream in the order of the file, which is that of decoding.

    Attributes:
        times: int64 (packets,), the ``pts`` of each, by which its frame is known.
        keys: Packets of key frames.
        shown: int64 (N,), the packet of each frame that is shown, in the order of showing.
        frame_starts: float64 (N,), seconds at which each frame begins to be shown.
        fps: Frames a second, on average.
        duration: Seconds at which the last frame ends.
        packets: The packets; None if they are too large to keep.
    """

    times: np.ndarray
    keys: list[int]
    shown: np.ndarray
    frame_starts: np.ndarray
    fps: float
    duration: float
    packets: list[av.Packet] | None

    @property
    def has_open_groups(self) -> bool:
        """Whether a frame behind a key frame is shown before it, and may refer to earlier ones."""
        last_key = np.zeros(len(self.times), dtype=np.int64)
        last_key[self.keys] = self.keys
        last_key = np.maximum.accumulate(last_key)
        return bool(np.any(self.times < self.times[last_key]))


def packets_of(container: av.container.InputContainer, stream: av.VideoStream,
               source: VideoSource) -> Iterator[av.Packet]:
    """Packets that hold something, from where the file is read at now; watches the clock."""
    for packet in container.demux(stream):
        source.check_clock()
        if packet.size:
            yield packet


def read_packet_index(container: av.container.InputContainer, stream: av.VideoStream,
                      source: VideoSource, header: VideoHeader) -> PacketIndex:
    """Read all packets of a stream.

    Args:
        container: A file opened with PyAV.
        stream: Its video stream.
        source: Its name and clock.
        header: Its header.

    Raises:
        NotIndexableError: If the packets do not tell the order and the times of the frames.
        UnreadableVideoError: If the file is cut short, or the deadline passes.
    """
    if header.container not in _WITH_TIMES and (header.container != 'avi' or header.reordered):
        raise NotIndexableError(f'{source.path}: {header.container} without times')
    times, keys, shown, durations, packets = [], [], [], [], []
    num_bytes = 0
    num_expected = len(stream.index_entries)  # all, in mp4 and AVI; a few or none elsewhere
    for packet in packets_of(container, stream, source):
        if packet.pts is None:
            raise NotIndexableError(f'{source.path}: a packet without a time')
        times.append(packet.pts)
        keys.append(packet.is_keyframe)
        shown.append(not packet.is_discard)
        durations.append(packet.duration or 0)
        num_bytes += packet.size
        if num_bytes <= MAX_KEPT_BYTES:
            packets.append(packet)
    # The last packet of many files is empty.
    if len(times) < num_expected - 1:
        raise UnreadableVideoError(source.path, 'its stream is damaged: it ends after '
                                   f'{len(times)} of {num_expected} frames')
    order = np.argsort(times)
    shown_packets = order[np.array(shown, dtype=bool)[order]]
    if len(shown_packets) == 0 or not any(keys):
        raise NotIndexableError(f'{source.path}: no frames, or no key frames')
    times = np.array(times, dtype=np.int64)
    if len(np.unique(times)) < len(times):
        raise NotIndexableError(f'{source.path}: two packets of one time')
    time_base = float(stream.time_base)
    starts = times[shown_packets] * time_base - (container.start_time or 0) / av.time_base
    fps = fps_of(starts, header)
    return PacketIndex(
        times=times, keys=np.flatnonzero(keys).tolist(), shown=shown_packets, frame_starts=starts,
        fps=fps, duration=float(starts[-1] + (durations[shown_packets[-1]] * time_base or 1 / fps)),
        packets=packets if num_bytes <= MAX_KEPT_BYTES else None)


def fps_of(frame_starts: np.ndarray, header: VideoHeader) -> float:
    """Frames a second, on average, of frames that begin at these seconds.

    The header's rate, which is not rounded, is taken where it is that average to 5 %.
    """
    seconds = float(frame_starts[-1] - frame_starts[0])
    if seconds <= 0:
        return header.fps or 1.0
    mean = (len(frame_starts) - 1) / seconds
    return header.fps if abs(header.fps / mean - 1) < 0.05 else mean
