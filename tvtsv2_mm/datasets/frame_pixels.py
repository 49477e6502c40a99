"""From a decoded picture to RGB pixels at the size that is wanted."""

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from tvtsv2_mm.datasets.video_header import size_for_short_side


class FramePixels:
    """Scales, converts and turns the frames of one video.

    FFmpeg's scaler writes the three colours as planes, and OpenCV weaves them: of the ways tried it
    is the one that rounds correctly (0.25 of 255 away from an exact conversion, where writing
    RGB at once is 1.5 away), and it takes half the time. Chroma is scaled to full size.

    Args:
        short_side: Pixels of the shorter side of the result; None keeps the size.
    """

    def __init__(self, short_side: int | None) -> None:
        self._short_side = short_side
        self._reformatter = VideoReformatter()

    def size_of(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Height and width of the result, turned as the file asks for."""
        height, width = frame.height, frame.width
        if frame.rotation % 180 == 90:
            height, width = width, height
        return size_for_short_side(height, width, self._short_side)

    def write(self, frame: av.VideoFrame, out: np.ndarray) -> None:
        """Write the pixels of a frame.

        Args:
            frame: A decoded frame.
            out: uint8 (H, W, 3), RGB, contiguous.
        """
        turns = frame.rotation // 90 % 4
        height, width = out.shape[:2] if turns % 2 == 0 else out.shape[1::-1]
        planes = self._reformatter.reformat(
            frame, width=width, height=height, format='gbrp', interpolation='BICUBIC').planes
        green, blue, red = (
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]
            for plane in planes)
        if turns:
            out[:] = np.rot90(cv2.merge([red, green, blue]), turns)
        else:
            cv2.merge([red, green, blue], dst=out)
