"""One small interface over decord: frames of a video by index, at the size that is wanted."""

import io
import re
from collections.abc import Sequence

import decord
import numpy as np

from tvtsv2_mm.datasets.errors import UnreadableVideoError
from tvtsv2_mm.datasets.sequential_reader import SequentialVideoReader
from tvtsv2_mm.datasets.video_header import VideoHeader, read_video_header

decord.logging.set_level(decord.logging.FATAL)

# decord replaces a frame that it cannot decode by a neighbour and says nothing. One is let pass:
# the last packet of many files is empty.
_MAX_REPLACED_FRAMES = 1

# Without an index in the file decord's seeks miss: in the MPEG files of the GRID corpus by 12
# frames, in AVI files without time stamps (HMDB51) by up to a group of frames.
_WITHOUT_INDEX = {'mpeg', 'mpegts', 'mpegvideo', 'gif'}

# What decord's messages mean; the first that matches is told.
_REASONS = (
    ('avcodec_send_packet', 'its stream is damaged: a packet cannot be decoded'),
    ('corrupted and recovered', 'its stream is damaged: some of the wanted frames are lost'),
    ('Unable to handle EOF', 'its stream is damaged: its last frames are lost'),
    ('Error getting frame', 'its stream is damaged: the wanted frames cannot be reached'),
)


class NotIndexableError(Exception):
    """decord cannot find the frames of this file by their index."""


class VideoReader:
    """One opened video file.

    Time 0 is where a player starts: frames that an edit list hides before it do not exist here.
    Pictures are turned as the file asks for; pixels are taken as square, as decord does.

    Args:
        path: A video file.
        header: Its header.
        short_side: Pixels of the shorter side of the frames; None keeps the size of the file.
        num_threads: Decoding threads. The default of one lets loader workers be the parallelism.
        data: The content, where it is not in a file.

    Attributes:
        num_frames: Number of frames, N.
        fps: Frames a second, on average.
        frame_starts: float64 (N,), seconds at which each frame begins to be shown.
        duration: Seconds at which the last frame ends.
        size: (height, width) of the frames given out.

    Raises:
        NotIndexableError: If decord cannot be trusted with this file; take
            :class:`SequentialVideoReader`, or :func:`open_video`, which does.
    """

    def __init__(self, path: str, *, header: VideoHeader, short_side: int | None = None,
                 num_threads: int = 1, data: bytes | None = None) -> None:
        if header.container in _WITHOUT_INDEX:
            raise NotIndexableError(f'{path}: {header.container} files have no index of frames')
        self.path = path
        self.size = header.size_for_short_side(short_side)
        # decord is not told a size it would have anyway: scaling to the same size costs as well.
        height, width = (-1, -1) if short_side is None else self.size
        try:
            self._reader = decord.VideoReader(
                path if data is None else io.BytesIO(data), ctx=decord.cpu(0), width=width,
                height=height, num_threads=num_threads, fault_tol=_MAX_REPLACED_FRAMES)
            stamps = self._reader.get_frame_timestamp(np.arange(len(self._reader)))
            self.fps = float(self._reader.get_avg_fps())
        except (decord.DECORDError, RuntimeError, AssertionError) as error:
            raise NotIndexableError(f'{path}: {error}') from error
        starts, ends = stamps.astype(np.float64).T
        if starts[0] < -1e9 or np.any(np.diff(starts) < 0):
            raise NotIndexableError(f'{path}: no time stamps')
        num_hidden = int(np.searchsorted(starts, -1e-4))
        self._decord_indices = self._shown_indices(num_hidden)
        self.num_frames = len(self._decord_indices)
        self.frame_starts = starts[num_hidden:] + header.stream_start
        self.duration = float(ends[-1] + header.stream_start)

    def _shown_indices(self, num_hidden: int) -> np.ndarray:
        """decord's indices of the frames that are shown.

        A stream that was cut without encoding it again starts with frames that an edit list hides.
        decord counts their packets, but its decoder never gives their pictures. So up to the second
        key frame the k-th shown frame has decord's index k; from there on, where decord seeks by
        packet, it has index ``num_hidden + k``.
        """
        num_packets = len(self._reader)
        if num_hidden == 0:
            return np.arange(num_packets)
        second_key = next((k for k in self._reader.get_key_indices() if k > 0), num_packets)
        if num_hidden >= min(second_key, num_packets):
            raise NotIndexableError(f'{self.path}: {num_hidden} hidden frames, more than a group')
        return np.concatenate([np.arange(second_key - num_hidden),
                               np.arange(second_key, num_packets)])

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode frames.

        Args:
            indices: Frame indices, 0 <= i < num_frames, in any order, repeats allowed.

        Returns:
            uint8 array (len(indices), H, W, 3), RGB.

        Raises:
            UnreadableVideoError: If the stream is damaged.
        """
        try:
            batch = self._reader.get_batch(self._decord_indices[np.asarray(indices)])
        except decord.DECORDError as error:
            raise UnreadableVideoError(self.path, _reason(str(error))) from error
        return batch.asnumpy() if hasattr(batch, 'asnumpy') else np.asarray(batch)

    def close(self) -> None:
        """Free the decoder and its thread."""
        self._reader = None


def _reason(message: str) -> str:
    for pattern, reason in _REASONS:
        if re.search(pattern, message):
            return reason
    return f'decord cannot read it ({message.strip().splitlines()[0][-200:]})'


def open_video(path: str, *, short_side: int | None = None, num_threads: int = 1,
               data: bytes | None = None) -> VideoReader | SequentialVideoReader:
    """Open a video with decord, or where decord would not find its frames with PyAV.

    Args:
        path: A video file.
        short_side: Pixels of the shorter side of the frames; None keeps the size of the file.
        num_threads: Decoding threads.
        data: The content, where it is not in a file; ``path`` is then a name for messages.

    Raises:
        UnreadableVideoError: With the reason, if the file cannot be read as a video.
    """
    header = read_video_header(path, data)
    try:
        return VideoReader(path, header=header, short_side=short_side, num_threads=num_threads,
                           data=data)
    except NotIndexableError:
        return SequentialVideoReader(path, header=header, short_side=short_side,
                                     num_threads=num_threads, data=data)
