"""torchcodec, where it is installed: it needs FFmpeg's shared libraries and a matching torch."""

from collections.abc import Sequence

import numpy as np
import torch

from tvtsv2_mm.video.base_reader import VideoReader
from tvtsv2_mm.video.errors import NotIndexableError, UnreadableVideoError
from tvtsv2_mm.video.frame_scaling import FULL_SIZE, FrameScaling
from tvtsv2_mm.video.header import header_of, open_stream, read_orientation
from tvtsv2_mm.video.packet_index import read_packet_index
from tvtsv2_mm.video.source import VideoSource


class TorchcodecReader(VideoReader):
    """Frames by index with torchcodec; the times of the frames are read with PyAV.

    The deadline of the source does not reach into torchcodec: its calls are whole.

    Args:
        source: A video.
        scaling: Size of the frames, and how they get it.

    Raises:
        ImportError: If torchcodec is not installed, or does not load.
        NotIndexableError: If the packets do not tell the order and the times of the frames.
        UnreadableVideoError: With the reason, if the file cannot be read as a video.
    """

    def __init__(self, source: VideoSource, *, scaling: FrameScaling = FULL_SIZE) -> None:
        video_decoder = _import_decoder()
        self.path = source.path
        source.start_clock()
        with open_stream(source) as (container, stream):
            header = header_of(container, stream, source.path)
            index = read_packet_index(container, stream, source, header)
            stream_index = stream.index
        # Behind frames that an edit list hides torchcodec 0.12 gives frames of other times.
        if len(index.shown) < len(index.times):
            raise NotIndexableError(f'{self.path}: it has hidden frames')
        # Which versions turn pictures, and by whose matrix, differs.
        if not read_orientation(source).is_upright:
            raise NotIndexableError(f'{self.path}: its pictures are turned or mirrored')
        self.num_frames = len(index.shown)
        self.frame_starts = index.frame_starts
        self.fps = index.fps
        self.duration = index.duration
        self.size = scaling.size_of(header.height, header.width, header.pixel_aspect)
        self._scaling = scaling
        try:
            self._decoder = video_decoder(
                source.open() if source.data is None else source.data, stream_index=stream_index,
                dimension_order='NHWC', num_ffmpeg_threads=source.num_threads, seek_mode='exact')
        except (RuntimeError, ValueError) as error:
            raise NotIndexableError(f'{self.path}: {error}') from error
        if len(self._decoder) != self.num_frames:
            raise NotIndexableError(f'{self.path}: torchcodec counts {len(self._decoder)} frames, '
                                    f'its packets are {self.num_frames}')

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """See :meth:`VideoReader.get_frames`."""
        wanted, places = np.unique(np.asarray(indices), return_inverse=True)
        frames = np.empty((len(wanted), *self.size, 3), dtype=np.uint8)
        try:
            # One by one, so that not all of them are in memory at full size.
            for out, index in zip(frames, wanted.tolist(), strict=True):
                frame = self._decoder.get_frame_at(index).data.numpy()
                out[:] = self._scaling.scale(frame, self.size)
        except (RuntimeError, IndexError) as error:
            raise UnreadableVideoError(
                self.path, f'its stream is damaged ({str(error).splitlines()[0][-200:]})'
            ) from error
        return frames[places]

    def close(self) -> None:
        """Free the decoder."""
        self._decoder = None


def _import_decoder() -> type:
    """torchcodec's decoder.

    Raises:
        ImportError: If it is missing, or its libraries do not load.
    """
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError, RuntimeError) as error:
        raise ImportError(
            "backend='torchcodec' needs the package torchcodec of a version that fits torch "
            f'{torch.__version__}, and the shared libraries of FFmpeg; it does not load here '
            f"({str(error).strip().splitlines()[0][:200]}). Take backend='pyav', which brings its "
            'own FFmpeg') from error
    return VideoDecoder
