"""PyAV, decoding only what the wanted frames need."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack

import av
import numpy as np

from tvtsv2_mm.video.base_reader import VideoReader
from tvtsv2_mm.video.errors import UnreadableVideoError
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
        # The row of each frame by its time; frames that have come are taken out.
        rows = {int(time): row for row, time in enumerate(self._index.times[packets])}
        frames, is_corrupt = None, False
        try:
            for frame, orientation in self._decode(np.sort(packets), rows):
                if frame.pts is None or frame.pts not in rows:
                    continue
                row = rows.pop(frame.pts)
                is_corrupt = is_corrupt or frame.is_corrupt
                if frames is None:  # the first frame tells the size
                    self.size = self._pixels.size_of(frame, orientation)
                    frames = np.empty((len(wanted), *self.size, 3), dtype=np.uint8)
                self._pixels.write(frame, orientation, frames[row])
        except av.FFmpegError as error:
            raise UnreadableVideoError(
                self.path, f'its stream is damaged ({error.strerror})') from error
        if frames is None or is_corrupt or len(rows) > _MAX_MISSING:
            raise UnreadableVideoError(
                self.path, 'its stream is damaged: some of the wanted frames are lost')
        for row in rows.values():
            frames[row] = frames[row - 1 if row else 1]
        in_order = np.array_equal(places, np.arange(len(wanted)))
        return frames if in_order else frames[places]

    def _decode(self, wanted: np.ndarray, rows: Collection[int]
                ) -> Iterator[tuple[av.VideoFrame, Orientation]]:
        """Decode what the ``wanted`` packets need; ``rows`` are the times of those yet to come."""
        orientation = None
        for start, stop in self._runs(wanted, rows):
            for frame in self._decode_run(start, stop, rows):
                # What H.264 itself asks for is told with a key frame, and holds until the next one.
                if frame.key_frame or orientation is None:
                    orientation = Orientation.of(frame)
                yield frame, orientation

    def _decode_run(self, start: int, stop: int, rows: Collection[int]) -> Iterator[av.VideoFrame]:
        """Frames of the packets ``start`` .. ``stop - 1``, without those that nobody needs."""
        codec = self._opened.stream.codec_context
        codec.flush_buffers()
        kept, skipping = self._index.packets, None
        packets = self._read_from(start) if kept is None else kept[start:]
        for packet, _ in zip(packets, range(start, stop), strict=False):
            self._source.check_clock()
            skip = self._may_skip and packet.pts not in rows
            if skip is not skipping:
                codec.skip_frame = 'NONREF' if skip else 'DEFAULT'
                skipping = skip
            yield from codec.decode(packet)
        yield from codec.decode(None)

    def _runs(self, wanted: np.ndarray, rows: Collection[int]) -> Iterator[tuple[int, int]]:
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
            if runs and start < runs[-1][1]:
                start, _ = runs.pop()
            runs.append((start, packet + 1))
        yield from runs
        if rows:  # a key frame that needs what is before it: once more, from the beginning
            missing = np.isin(times, list(rows))
            yield keys[0], int(np.flatnonzero(missing)[-1]) + 1

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
