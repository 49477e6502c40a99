"""PyAV for files whose packets do not tell the order of their frames: decoding tells it."""

from collections.abc import Iterator

import av
import numpy as np

from tvtsv2_mm.video.errors import UnreadableVideoError
from tvtsv2_mm.video.header import OpenStream, open_stream
from tvtsv2_mm.video.packet_index import MAX_KEPT_BYTES, PacketIndex, fps_and_duration
from tvtsv2_mm.video.pyav_reader import PyAVReader

# Enough to find the order of the frames; the pictures are not looked at.
_WITHOUT_PIXELS = {'skip_loop_filter': 'all', 'skip_idct': 'all'}


class SequentialReader(PyAVReader):
    """Frames by index without ever seeking: the k-th frame is the k-th that the decoder gives.

    Opening decodes all frames, as cheaply as can be, with the number of each packet for its time;
    what the decoder gives says in which packet it was. Then the wanted frames are decoded from the
    first packet on. For AVI, MPEG streams, gif and the like.
    """

    def _make_index(self, opened: OpenStream) -> PacketIndex:
        path, header = opened.source.path, opened.header
        seen, packets, order, num_bytes = [], [], [], 0
        with open_stream(opened.source) as again:
            codec = again.stream.codec_context
            codec.options = codec.options | _WITHOUT_PIXELS
            for number, packet in enumerate(again.packets()):
                seen.append((packet.pts, packet.dts, packet.duration or 0))
                packet.pts = number
                num_bytes += packet.size
                if num_bytes <= MAX_KEPT_BYTES:
                    packets.append(packet)
                order += [frame.pts for frame in codec.decode(packet)]
            order += [frame.pts for frame in codec.decode(None)]
            time_base, start = float(again.time_base), again.start
        if not order:
            raise UnreadableVideoError(
                path, f'not one frame of its {header.codec} stream can be decoded')
        if None in order:
            raise UnreadableVideoError(path, 'its stream is damaged: its frames tell no time')
        times, slots, durations = zip(*seen, strict=True)
        shown_times = [times[packet] for packet in order]
        if header.container == 'avi' and None not in slots:
            starts = _starts_in_avi(np.array(slots), np.array(order)) * time_base
        elif None not in shown_times and np.all(np.diff(shown_times) >= 0):
            starts = np.array(shown_times) * time_base - start
        elif header.fps:
            starts = np.arange(len(order)) / header.fps
        else:
            raise UnreadableVideoError(path, 'it has neither time stamps nor a frame rate')
        fps, duration = fps_and_duration(starts, durations[order[-1]] * time_base, header)
        return PacketIndex(np.arange(len(seen)), [0], np.array(order), starts, fps, duration,
                           packets if num_bytes <= MAX_KEPT_BYTES else None)

    def _read_from(self, first: int) -> Iterator[av.Packet]:
        with open_stream(self._source) as opened:
            for number, packet in enumerate(opened.packets()):
                packet.pts = number
                yield packet


def _starts_in_avi(slots: np.ndarray, order: np.ndarray) -> np.ndarray:
    """When frames are shown, in frame times of the file: its chunks tell only when to decode.

    A chunk takes one frame time, an empty one too: the last frame stands still then. The k-th frame
    is shown once as many chunks behind the k-th have come as the order of the frames asks for.

    Args:
        slots: int64 (packets,), the place of each packet's chunk among all chunks.
        order: int64 (N,), the packet of each frame in the order of showing.
    """
    decoded = np.sort(order)
    ahead = int(np.max(np.searchsorted(decoded, order) - np.arange(len(order))))
    slots = slots[decoded]
    shown = np.concatenate([slots[ahead:], slots[-1] + 1 + np.arange(ahead)])
    return shown - shown[0]
