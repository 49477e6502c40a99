"""From a decoded picture to RGB pixels at the size that is wanted."""

from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

from tvtsv2_mm.video.frame_scaling import FrameScaling
from tvtsv2_mm.video.orientation import Orientation


def _in_one_thread() -> dict[str, Any]:
    """What makes a conversion of PyAV's one of a single thread; nothing where all are.

    PyAV 17 and later start one a core for each converter, and 19 keeps a converter for all
    calls of ``frame.reformat``: after a fork it waits for threads that the child does not have.
    """
    try:
        VideoReformatter().reformat(av.VideoFrame(2, 2, 'rgb24'), threads=1)
    except TypeError:
        return {}
    return dict(threads=1)


IN_ONE_THREAD = _in_one_thread()


class FramePixels:
    """Converts, turns and scales the frames of one video.

    Pictures that FFmpeg scales (interpolation 'fast') come from it as planes, one a colour, and
    OpenCV weaves them: of the ways tried it is the one that rounds correctly (0.25 of 255 away from
    an exact conversion, where writing RGB at once is 1.5 away), in half the time.

    Args:
        scaling: Size and interpolation of the result.
        pixel_aspect: Width of a pixel as stored divided by its height.
    """

    def __init__(self, scaling: FrameScaling, pixel_aspect: float = 1.0) -> None:
        self._scaling = scaling
        self._pixel_aspect = pixel_aspect
        self._reformatter = VideoReformatter()

    def size_of(self, frame: av.VideoFrame, orientation: Orientation) -> tuple[int, int]:
        """Height and width of the result."""
        return self._scaling.size_of(*orientation.size(frame.height, frame.width),
                                     orientation.pixel_aspect(self._pixel_aspect))

    def write(self, frame: av.VideoFrame, orientation: Orientation, out: np.ndarray) -> None:
        """Write the pixels of a decoded frame to ``out``, uint8 (H, W, 3), RGB, contiguous."""
        size = out.shape[0], out.shape[1]
        height, width = orientation.size(*size)
        is_scaled = (height, width) != (frame.height, frame.width)
        if is_scaled and self._scaling.interpolation == 'fast':
            out[:] = orientation.apply(self._scaled(frame, height, width))
        else:
            out[:] = self._scaling.scale(orientation.apply(self.full_size(frame)), size)

    def full_size(self, frame: av.VideoFrame) -> np.ndarray:
        """Pixels of a frame as they are stored, neither scaled nor turned; decord's are equal.

        Planes would not do here: FFmpeg's direct way from YUV to planes of one size leaves up to
        eight columns at the right edge unwritten.

        Returns:
            uint8 (H, W, 3), RGB; a view of FFmpeg's memory.
        """
        plane, = self._planes(frame, format='rgb24')
        return _rows(plane, frame.height, 3 * frame.width).reshape(frame.height, frame.width, 3)

    def _scaled(self, frame: av.VideoFrame, height: int, width: int) -> np.ndarray:
        green, blue, red = (_rows(plane, height, width) for plane in self._planes(
            frame, width=width, height=height, format='gbrp'))
        return cv2.merge([red, green, blue])

    def _planes(self, frame: av.VideoFrame, **wanted: Any) -> tuple[Any, ...]:
        kind = frame.format
        if not (kind.is_rgb or kind.has_palette):
            # PyAV before 17 minds the kind of YUV only where another is asked for; RGB has none.
            is_full = kind.name.startswith(('yuvj', 'gray'))
            wanted.update(src_colorspace=frame.colorspace, dst_colorspace=Colorspace.FCC,
                          src_color_range='JPEG' if is_full else frame.color_range)
        return self._reformatter.reformat(
            frame, interpolation='BICUBIC', **wanted, **IN_ONE_THREAD).planes


def _rows(plane: Any, height: int, width: int) -> np.ndarray:
    """The bytes (height, width) of a plane of FFmpeg's, whose rows may be longer."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]
