"""How a file asks a player to turn and mirror its pictures."""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a picture down: four turns, each mirrored or not.

    Attributes:
        transposed: Rows become columns, before the others.
        left_right: Left and right are swapped then.
        upside_down: Top and bottom are.
    """

    transposed: bool = False
    left_right: bool = False
    upside_down: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> 'Orientation':
        """The one that the display matrix of a decoded frame asks for; the nearest, at an angle.

        The matrix (of the container, or of H.264 and HEVC themselves) puts the pixel (x, y) at
        (a x + c y, b x + d y); a file of MP4 holds a, b, u, c, d, v, x, y, w (ISO 14496-12, 6.2.2).
        """
        matrix: Any = frame.side_data.get('DISPLAYMATRIX')  # a buffer, which its stub does not say
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    @property
    def is_upright(self) -> bool:
        """Whether the picture is shown as it is stored."""
        return self == Orientation()

    @property
    def is_mirrored(self) -> bool:
        """Whether turning alone does not do it."""
        return self.transposed ^ self.left_right ^ self.upside_down

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width as shown of those as stored, or the other way round."""
        return (width, height) if self.transposed else (height, width)

    def pixel_aspect(self, stored: float) -> float:
        """Width of a pixel as shown divided by its height, of that as stored."""
        return 1 / stored if self.transposed else stored

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """A view of pixels as stored (H, W, 3) as they are shown."""
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        return pixels[::-1 if self.upside_down else 1, ::-1 if self.left_right else 1]
