"""PyAV, decoding only what the wanted frames need."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain

import av
import numpy as np

from tvtsv2_mm.video.base_reader import BLOCK, VideoReader
from tvtsv2_mm.video.errors import UnreadableVideoError, one_video_error
from tvtsv2_mm.video.frame_pixels import FramePixels
from tvtsv2_mm.video.frame_scaling import FULL_SIZE, FrameScaling
from tvtsv2_mm.video.header import OpenStream, open_stream
from tvtsv2_mm.video.orientation import Orientation
from tvtsv2_mm.video.packet_index import PacketIndex, read_packet_index
from tvtsv2_mm.video.source import VideoSource

# Codecs in which FFmpeg tells a frame that no other refers to from its packet alone. (In HEVC such
# a frame may still be referred to from a higher temporal layer.)
_WITH_NONREF = {'h264', 'mpeg1video', 'mpeg2video'}

# The last packet of many files is empty: one frame that does not come is given as its neighbour.
_MAX_MISSING = 1
_DAMAGED = 'its stream is damaged'
_LOST = f'{_DAMAGED}: some of the wanted frames are lost'

# Frames come out of a decoder in the order of showing, but where it has lost some.
_MOST_AHEAD = 32


class PyAVReader(VideoReader):
    """Frames by index with PyAV, from files whose packets tell when their frame is shown.

    Opening reads every packet of the stream, and decodes none. For the wanted frames, decoding
    starts at the key frame before each, ends behind it, and leaves out frames between that no
    other refers to. A frame is known by its time stamp, so a seek cannot miss.
    """

    def __init__(self, source: VideoSource, *, scaling: FrameScaling = FULL_SIZE) -> None:
        self._source = source
        source.start_clock()
        with ExitStack() as stack:
            self._opened = stack.enter_context(open_stream(source))
            header = self._opened.header
            self._pixels = FramePixels(scaling, header.pixel_aspect)
            self._may_skip = header.codec in _WITH_NONREF
            self._index = index = self._make_index(self._opened)
            self._closing = stack.pop_all()
        super().__init__(source.path, index.frame_starts, index.fps, index.duration)

    def _make_index(self, opened: OpenStream) -> PacketIndex:
        return read_packet_index(opened)

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """See :meth:`VideoReader.get_frames`."""
        self._source.start_clock()
        wanted, places = np.unique(np.asarray(indices), return_inverse=True)
        packets = self._index.shown[wanted]
        clip = _Clip(self._rows(packets), self._pixels)
        with one_video_error(self.path, _DAMAGED):
            for start, stop in self._runs(np.sort(packets)):
                deque(self._decode(start, stop, clip), maxlen=0)
            if clip.rows:  # a key frame that needs what is before it: once more, from the beginning
                missing = np.isin(self._index.times, list(clip.rows))
                stop = int(np.flatnonzero(missing)[-1]) + 1
                deque(self._decode(self._index.keys[0], stop, clip), maxlen=0)
        frames = clip.frames
        if frames is None or clip.is_corrupt or len(clip.rows) > _MAX_MISSING:
            raise UnreadableVideoError(self.path, _LOST)
        for row in clip.rows.values():
            frames[row] = frames[row - 1 if row else 1]
        self.size = frames.shape[1], frames.shape[2]
        in_order = np.array_equal(places, np.arange(len(wanted)))
        return frames if in_order else frames[places]

    def stream_frames(self, indices: np.ndarray, block: int = BLOCK) -> Iterator[np.ndarray]:
        """See :meth:`VideoReader.stream_frames`."""
        self._source.start_clock()
        packets = self._index.shown[indices]
        clip = _StreamedClip(self._rows(packets), self._pixels)
        given = 0
        with one_video_error(self.path, _DAMAGED):
            for _ in chain.from_iterable(self._decode(start, stop, clip)
                                         for start, stop in self._runs(np.sort(packets))):
                if clip.is_corrupt or len(clip.arrived) > block + _MOST_AHEAD:
                    break
                while (count := min(block, len(indices) - given)) and clip.has(given, count):
                    yield clip.hand_over(given, count)
                    given += count
                    self._source.start_clock()
        if given < len(indices):  # some are lost, or need more than what is before their key frame
            yield from super().stream_frames(indices[given:], block)

    def _rows(self, packets: np.ndarray) -> dict[int, int]:
        """The place of each wanted frame, by its time."""
        return {int(time): row for row, time in enumerate(self._index.times[packets])}

    def _runs(self, wanted: np.ndarray) -> list[tuple[int, int]]:
        """Ranges of packets to decode for the wanted ones, each from a key frame on.

        A frame that is stored behind a key frame and shown before it may refer to frames before
        it, so it needs an earlier key frame.
        """
        times, keys = self._index.times, self._index.keys
        runs: list[tuple[int, int]] = []
        for packet in wanted.tolist():
            place = bisect_right(keys, packet) - 1
            while place > 0 and times[keys[place]] > times[packet]:
                place -= 1
            start = keys[max(place, 0)]
            while runs and start < runs[-1][1]:
                start = min(start, runs.pop()[0])
            runs.append((start, packet + 1))
        return runs

    def _decode(self, start: int, stop: int, clip: '_Clip') -> Iterator[None]:
        """Decode the packets ``start`` .. ``stop - 1`` and what the clip wants of their frames.

        Goes on behind each packet when it is asked.
        """
        codec = self._opened.stream.codec_context
        codec.flush_buffers()
        kept, skipping = self._index.packets, None
        packets = self._read_from(start) if kept is None else kept[start:]
        for packet, _ in zip(packets, range(start, stop), strict=False):
            self._source.check_clock()
            skip = self._may_skip and packet.pts not in clip.rows
            if skip is not skipping:
                codec.skip_frame = 'NONREF' if skip else 'DEFAULT'
                skipping = skip
            clip.take(codec.decode(packet))
            yield
        clip.take(codec.decode(None))
        yield

    def _read_from(self, first: int) -> Iterator[av.Packet]:
        """Packets from the key frame ``first`` on, by seeking there."""
        time = int(self._index.times[first])
        self._opened.container.seek(time, stream=self._opened.stream, backward=True)
        found = False
        for packet in self._opened.packets():
            found = found or packet.pts == time
            if found:
                yield packet

    def close(self) -> None:
        """Free the decoder and the packets."""
        vars(self).pop('_index', None)
        self._closing.close()


class _Clip:
    """Frames that are wanted, as they come out of the decoder.

    Each frame is let go before the next packet is decoded: FFmpeg fills what a damaged stream has
    lost from the memory of earlier frames, so holding some would change pixels.
    """

    def __init__(self, rows: dict[int, int], pixels: FramePixels) -> None:
        self.rows = rows  # of each frame by its time; frames that have come are taken out
        self.frames: np.ndarray | None = None
        self.is_corrupt = False
        self._num_frames = len(rows)
        self._pixels = pixels
        self._orientation: Orientation | None = None

    def take(self, decoded: list[av.VideoFrame]) -> None:
        for frame in decoded:
            # What H.264 itself asks for is told with a key frame, and holds until the next one.
            if frame.key_frame or self._orientation is None:
                self._orientation = Orientation.of(frame)
            if frame.pts is None or frame.pts not in self.rows:
                continue
            row = self.rows.pop(frame.pts)
            self.is_corrupt = self.is_corrupt or frame.is_corrupt
            size = self._pixels.size_of(frame, self._orientation)
            self._pixels.write(frame, self._orientation, self._room_for(row, size))

    def _room_for(self, row: int, size: tuple[int, int]) -> np.ndarray:
        if self.frames is None:  # the first frame tells the size
            self.frames = np.empty((self._num_frames, *size, 3), dtype=np.uint8)
        return self.frames[row]


class _StreamedClip(_Clip):
    """Frames that are handed over when all before them have come."""

    def __init__(self, rows: dict[int, int], pixels: FramePixels) -> None:
        super().__init__(rows, pixels)
        self.arrived: dict[int, np.ndarray] = {}
        self._size: tuple[int, int] | None = None

    def has(self, first: int, count: int) -> bool:
        return all(row in self.arrived for row in range(first, first + count))

    def hand_over(self, first: int, count: int) -> np.ndarray:
        return np.stack([self.arrived.pop(row) for row in range(first, first + count)])

    def _room_for(self, row: int, size: tuple[int, int]) -> np.ndarray:
        self._size = self._size or size
        self.arrived[row] = np.empty((*self._size, 3), np.uint8)
        return self.arrived[row]
