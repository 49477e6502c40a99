"""Which packet of a file holds which frame, and when it is shown; nothing is decoded for it."""

from dataclasses import dataclass

import av
import numpy as np

from tvtsv2_mm.video.errors import NotIndexableError, UnreadableVideoError
from tvtsv2_mm.video.header import OpenStream, VideoHeader

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


def read_packet_index(opened: OpenStream) -> PacketIndex:
    """Read all packets of a stream.

    Raises:
        NotIndexableError: If the packets do not tell the order and the times of the frames.
        UnreadableVideoError: If the file is cut short, or the deadline passes.
    """
    path, header = opened.source.path, opened.header
    if header.container not in _WITH_TIMES and (header.container != 'avi' or header.reordered):
        raise NotIndexableError(f'{path}: {header.container} without times')
    seen, packets, num_bytes = [], [], 0
    for packet in opened.packets():
        if packet.pts is None:
            raise NotIndexableError(f'{path}: a packet without a time')
        seen.append((packet.pts, packet.is_keyframe, packet.is_discard, packet.duration or 0))
        num_bytes += packet.size
        if num_bytes <= MAX_KEPT_BYTES:
            packets.append(packet)
    times, is_key, is_hidden, durations = np.array(seen, np.int64).reshape(-1, 4).T
    num_expected = _num_expected(opened, (times + durations).max(initial=0))
    # The last packet of many files is empty.
    if len(seen) < num_expected - 1:
        raise UnreadableVideoError(path, f'its stream is damaged: it ends after {len(seen)} of '
                                   f'{num_expected} frames')
    order = np.argsort(times)
    shown = order[is_hidden[order] == 0]
    if len(shown) == 0 or not is_key.any():
        raise NotIndexableError(f'{path}: no frames, or no key frames')
    if len(np.unique(times)) < len(times):
        raise NotIndexableError(f'{path}: two packets of one time')
    time_base = float(opened.time_base)
    starts = times[shown] * time_base - opened.start
    last = durations[shown[-1]]
    if header.container == 'mov' and not last:  # as in PyAV 15, with reordered frames
        stream = opened.stream
        last = max(0, (stream.start_time or 0) + (stream.duration or 0) - times[shown[-1]])
    fps, duration = fps_and_duration(starts, last * time_base, header)
    return PacketIndex(times, np.flatnonzero(is_key).tolist(), shown, starts, fps, duration,
                       packets if num_bytes <= MAX_KEPT_BYTES else None)


def _num_expected(opened: OpenStream, end: int) -> int:
    """Packets by the file's index: all, in mp4 and AVI; a few or none elsewhere."""
    stream = opened.stream
    if hasattr(stream, 'index_entries'):
        return len(stream.index_entries)
    # PyAV before 17. The header of mp4 counts frames behind the end of an edit list as well, but
    # its duration is without them.
    whole = opened.header.container != 'mov' or end >= (
        (stream.start_time or 0) + (stream.duration or 0))
    return 0 if whole else stream.frames


def fps_and_duration(frame_starts: np.ndarray, last_seconds: float,
                     header: VideoHeader) -> tuple[float, float]:
    """Frames a second, on average, of frames that begin at these seconds; when the last one ends.

    The header's rate, which is not rounded, is taken where it is that average to 5 %. The last
    frame is shown for ``last_seconds``, or 1 / fps where the file does not say (0).
    """
    seconds = float(frame_starts[-1] - frame_starts[0])
    fps = header.fps or 1.0
    if seconds > 0:
        mean = (len(frame_starts) - 1) / seconds
        fps = header.fps if abs(header.fps / mean - 1) < 0.05 else mean
    return fps, float(frame_starts[-1] + (last_seconds or 1 / fps))
