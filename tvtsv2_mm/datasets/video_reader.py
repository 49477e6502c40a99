"""One small interface over decord: frames of a video by index, at the size that is wanted."""

import os
import re
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from tvtsv2_mm.datasets.errors import UnreadableVideoError
from tvtsv2_mm.datasets.video_header import read_video_header

# At a damaged end of a file decord tries this often for a frame; its own 10240 looks like a hang.
os.environ.setdefault('DECORD_EOF_RETRY_MAX', '64')

import decord

decord.logging.set_level(decord.logging.FATAL)

# decord replaces a frame that it cannot decode by a neighbour and says nothing. One is let pass:
# the last frame of many AVI files is an empty packet.
_MAX_REPLACED_FRAMES = 1

# What decord's messages mean; the first that matches is told.
_REASONS = (
    ('cannot find video stream', 'decord has no decoder for its codec {codec}'),
    ('broken metadata', 'decord cannot count the frames of this kind of file ({codec})'),
    ('Cannot create buffer source', 'its stream has no usable picture format ({codec})'),
    ('Error sending packet|avcodec_send_packet', 'its stream is damaged: a packet cannot be '
                                                 'decoded'),
    ('corrupted and recovered', 'its stream is damaged: some of the wanted frames cannot be '
                                'decoded'),
    ('Error getting frame|Failed to seek', 'its stream is damaged: the wanted frames cannot be '
                                           'reached'),
)


def size_for_short_side(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Height and width that bring the shorter side to ``short_side`` and keep the shape.

    Examples:
        >>> size_for_short_side(256, 340, 268)
        (268, 356)
        >>> size_for_short_side(256, 340, None)
        (256, 340)
    """
    if short_side is None:
        return height, width
    scale = short_side / min(height, width)
    return max(round(height * scale), short_side), max(round(width * scale), short_side)


class VideoReader:
    """One opened video file.

    Time 0 is where a player starts: frames that an edit list hides before it do not exist here.
    Pictures are turned as the file asks for; pixels are taken as square, as decord does.

    Args:
        path: A video file.
        short_side: Pixels of the shorter side of the frames; None keeps the size of the file.
        num_threads: Decoding threads. The default of one lets loader workers be the parallelism.

    Attributes:
        num_frames: Number of frames, N.
        fps: Frames a second, on average.
        frame_starts: float64 (N,), seconds at which each frame begins to be shown.
        duration: Seconds at which the last frame ends.
        size: (height, width) of the frames given out.

    Raises:
        UnreadableVideoError: With the reason, if the file cannot be read as a video.
    """

    def __init__(self, path: str, *, short_side: int | None = None, num_threads: int = 1) -> None:
        self.path = path
        header = read_video_header(path)
        self._codec = header.codec
        self.size = size_for_short_side(header.height, header.width, short_side)
        height, width = (-1, -1) if short_side is None else self.size
        try:
            self._reader = decord.VideoReader(
                path, ctx=decord.cpu(0), width=width, height=height, num_threads=num_threads,
                fault_tol=_MAX_REPLACED_FRAMES)
            self.fps = float(self._reader.get_avg_fps())
            stamps = self._reader.get_frame_timestamp(np.arange(len(self._reader)))
        except Exception as error:
            raise self._unreadable(error) from error
        self._set_times(stamps.astype(np.float64), header.stream_start)

    def _set_times(self, stamps: np.ndarray, stream_start: float) -> None:
        """Times of the frames from decord's (N, 2) starts and ends, which begin at the stream's."""
        starts, ends = stamps.T
        self._decord_indices = np.arange(len(stamps))
        if starts[0] < -1e9 or np.any(np.diff(starts) < 0):
            # No usable time stamps (AVI): the frames are equally long.
            if self.fps <= 0:
                raise UnreadableVideoError(self.path, 'it has neither time stamps nor a frame rate')
            starts = np.arange(len(stamps)) / self.fps
            ends = starts + 1 / self.fps
        hidden = int(np.searchsorted(starts, -1e-4))
        if hidden:
            self._skip_hidden_frames(hidden)
        if len(self._decord_indices) == 0:
            raise UnreadableVideoError(self.path, 'all its frames are hidden by an edit list')
        self.num_frames = len(self._decord_indices)
        self.frame_starts = starts[hidden:] + stream_start
        self.duration = float(ends[-1] + stream_start)

    def _skip_hidden_frames(self, hidden: int) -> None:
        """Leave out the frames before time 0 (a stream cut without encoding it again).

        decord counts their packets, but its decoder never gives their pictures. So inside the first
        group the k-th shown frame has decord's index k; from the second key frame on, which decord
        seeks to by packet, it has index ``hidden + k``.
        """
        keys = self._reader.get_key_indices()
        second_key = keys[1] if len(keys) > 1 else len(self._decord_indices)
        shown_in_first_group = np.arange(max(second_key - hidden, 0))
        later = np.arange(max(second_key, hidden), len(self._decord_indices))
        self._decord_indices = np.concatenate([shown_in_first_group, later])

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
            raise self._unreadable(error) from error
        return batch.asnumpy() if hasattr(batch, 'asnumpy') else np.asarray(batch)

    def close(self) -> None:
        """Free the decoder and its thread."""
        self._reader = None

    def _unreadable(self, error: Exception) -> UnreadableVideoError:
        message = str(error)
        for pattern, reason in _REASONS:
            if re.search(pattern, message):
                return UnreadableVideoError(self.path, reason.format(codec=self._codec))
        lines = message.strip().splitlines() or [type(error).__name__]
        return UnreadableVideoError(self.path, f'decord cannot read it ({lines[0][-200:]})')


class DecodedVideo:
    """A video whose frames are all in memory; the same interface as :class:`VideoReader`.

    Args:
        reader: An open reader; all its frames are decoded, and it is closed.
    """

    def __init__(self, reader: VideoReader) -> None:
        self.path = reader.path
        self.num_frames = reader.num_frames
        self.fps = reader.fps
        self.frame_starts = reader.frame_starts
        self.duration = reader.duration
        self.size = reader.size
        self._frames = reader.get_frames(np.arange(reader.num_frames))
        self._frames.flags.writeable = False
        reader.close()

    @property
    def num_bytes(self) -> int:
        """Memory that the frames take."""
        return self._frames.nbytes

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Copies of frames, uint8 (len(indices), H, W, 3)."""
        return self._frames[np.asarray(indices)]

    def close(self) -> None:
        """Nothing to free: the cache owns the frames."""


class VideoCache:
    """Whole decoded videos, the least recently used ones dropped when the memory is used up.

    For data sets of small videos that are read again and again. Each loader worker has its own.

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
        video = self._videos.get(path)
        if video is not None:
            self._videos.move_to_end(path)
        return video

    def fits(self, reader: VideoReader) -> bool:
        """Whether the whole video could be kept at all."""
        height, width = reader.size
        return reader.num_frames * height * width * 3 <= self.max_bytes

    def put(self, video: DecodedVideo) -> None:
        """Keep a video, and drop others to make room."""
        self._videos[video.path] = video
        self.num_bytes += video.num_bytes
        while self.num_bytes > self.max_bytes:
            _, dropped = self._videos.popitem(last=False)
            self.num_bytes -= dropped.num_bytes
