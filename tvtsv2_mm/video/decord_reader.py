"""decord, or its successor decord2, which is imported by the same name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.video.base_reader import VideoReader
from tvtsv2_mm.video.errors import NotIndexableError, UnreadableVideoError, one_video_error
from tvtsv2_mm.video.frame_scaling import FULL_SIZE, FrameScaling
from tvtsv2_mm.video.header import open_stream, read_orientation
from tvtsv2_mm.video.packet_index import read_packet_index
from tvtsv2_mm.video.source import VideoSource

# decord replaces a frame that it cannot decode by a neighbour and says nothing. One is let pass:
# the last packet of many files is empty.
_MAX_REPLACED_FRAMES = 1

# In these decord converts pixels as PyAV does, to the last bit; it brings an FFmpeg of its own.
_SAME_PIXELS = {'yuv420p', 'yuvj420p', 'yuv422p', 'yuvj422p', 'yuv444p', 'yuvj444p', 'bgr0'}

# What decord's messages mean; the first that matches is told.
_REASONS = (
    ('avcodec_send_packet', 'its stream is damaged: a packet cannot be decoded'),
    ('corrupted and recovered', 'its stream is damaged: some of the wanted frames are lost'),
    ('Unable to handle EOF', 'its stream is damaged: its last frames are lost'),
    ('Error getting frame', 'its stream is damaged: the wanted frames cannot be reached'),
)


class DecordReader(VideoReader):
    """Frames by index with decord, which finds them by seeking and scales while it decodes.

    The deadline of the source does not reach into decord: its calls are whole. Read in a process of
    its own (``isolate`` of OpenVideo) where that matters.

    Raises:
        MissingPackageError: If decord is not installed.
    """

    def __init__(self, source: VideoSource, *, scaling: FrameScaling = FULL_SIZE) -> None:
        decord = import_decord()
        with open_stream(source) as opened:
            header = opened.header
            index = read_packet_index(opened)
            if index.has_open_groups:
                raise NotIndexableError(f'{source.path}: open groups of frames')
            pixels = opened.stream.codec_context.pix_fmt
            if pixels not in _SAME_PIXELS or (header.height % 2 and '444' not in pixels):
                raise NotIndexableError(f'{source.path}: {pixels} of {header.height} rows')
        super().__init__(source.path, index.frame_starts, index.fps, index.duration)
        orientation = read_orientation(source)
        # decord knows the turns of MP4 alone, no mirror, and nothing that the stream itself asks.
        if orientation.is_mirrored or not (orientation.is_upright or header.container == 'mov'):
            raise NotIndexableError(f'{self.path}: its pictures are turned or mirrored')
        full_size = orientation.size(header.height, header.width)
        self.size = scaling.size_of(*full_size, orientation.pixel_aspect(header.pixel_aspect))
        self._scaling = scaling
        # decord is not told a size it would have anyway: scaling to the same size costs as well.
        scales = scaling.interpolation == 'fast' and self.size != full_size
        height, width = self.size if scales else (-1, -1)
        self._error = decord.DECORDError
        try:
            self._reader = decord.VideoReader(
                source.open(), ctx=decord.cpu(0), width=width, height=height,
                num_threads=source.num_threads, fault_tol=_MAX_REPLACED_FRAMES)
            stamps = self._reader.get_frame_timestamp(np.arange(len(self._reader)))
            # Widths such as 16, 24 and 48 it opens and cannot give out.
            first = self._reader.get_batch([0])
        except Exception as error:  # decord's own, and what its output makes of numpy
            raise NotIndexableError(f'{self.path}: {error}') from error
        if first.shape[1:3] != (self.size if scales else full_size):
            raise NotIndexableError(f'{self.path}: it has frames of {first.shape} pixels')
        starts = stamps[:, 0].astype(np.float64)
        if not len(starts) or starts[0] < -1e9 or np.any(np.diff(starts) < 0):
            raise NotIndexableError(f'{self.path}: no time stamps')
        num_hidden = int(np.searchsorted(starts, -1e-4))
        self._decord_indices = self._shown_indices(num_hidden)
        starts = starts[num_hidden:] + header.stream_start
        if (len(self._decord_indices) != self.num_frames
                or not np.allclose(starts, self.frame_starts, rtol=0, atol=2e-3)):
            raise NotIndexableError(f'{self.path}: its frames have other times')

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
        """See :meth:`VideoReader.get_frames`."""
        wanted, places = np.unique(
            self._decord_indices[np.asarray(indices)], return_inverse=True)
        frames = np.empty((len(wanted), *self.size, 3), dtype=np.uint8)
        with one_video_error(self.path, 'decord cannot read it'):
            try:
                # One by one, so that not all of them are in memory at full size.
                for out, index in zip(frames, wanted, strict=True):
                    batch = self._reader.get_batch([index])
                    frame = batch.asnumpy() if hasattr(batch, 'asnumpy') else np.asarray(batch)
                    out[:] = self._scaling.scale(frame[0], self.size)
            except self._error as error:
                told = str(error)
                unknown = f'decord cannot read it ({told.strip().splitlines()[0][-200:]})'
                reason = next((reason for text, reason in _REASONS if text in told), unknown)
                raise UnreadableVideoError(self.path, reason) from error
        return frames[places]

    def close(self) -> None:
        """Free the decoder and its thread."""
        self._reader = None


def import_decord() -> Any:
    """The module, which is silenced: what it logs is raised too."""
    # decord2: for newer Pythons, ARM, macOS.
    with needed_for("backend='decord' (decord2 does as well, backend='pyav' without)"):
        import decord
    decord.logging.set_level(decord.logging.FATAL)
    return decord
