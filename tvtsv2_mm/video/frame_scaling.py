"""The size at which frames are given out, and the interpolation that brings them to it."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

_BY_PIL = {'bilinear': Image.Resampling.BILINEAR, 'bicubic': Image.Resampling.BICUBIC}
INTERPOLATIONS = ('nearest', *_BY_PIL, 'cv2_bilinear', 'fast')


@dataclass(frozen=True, kw_only=True)
class FrameScaling:
    """How frames are scaled; all but 'fast' give the same pixels whoever decodes.

    Attributes:
        short_side: Pixels of the shorter side; None keeps the size of the file.
        interpolation: Of full-size frames: 'nearest', 'bilinear' or 'bicubic', each equal to PIL's
            to the last bit (the last two look at all pixels where they shrink). 'cv2_bilinear' is
            OpenCV's, which looks at the four nearest, as MMAction2's Resize. 'fast': by the
            decoder's own scaler while it decodes, where it has one, else bicubic.
        keep_ratio: False squeezes frames into a square.
        square_pixels: Frames become wider or narrower where their pixels are not square; False
            takes pixels as square whatever the file says, as decord and the release do.

    Raises:
        ValueError: If a value is none of these.
    """

    short_side: int | None = None
    interpolation: str = 'nearest'
    keep_ratio: bool = True
    square_pixels: bool = False

    def __post_init__(self) -> None:
        if self.short_side is not None and self.short_side < 1:
            raise ValueError(f'short_side must be at least 1 pixel or None, got {self.short_side}')
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f'interpolation must be one of {INTERPOLATIONS}, got {self.interpolation!r}')
        if not self.keep_ratio and self.short_side is None:
            raise ValueError('keep_ratio=False needs short_side, the side of the square')

    def size_of(self, height: int, width: int, pixel_aspect: float = 1.0) -> tuple[int, int]:
        """Height and width that frames get which are shown at a size, cut down to whole pixels.

        A pixel of theirs is ``pixel_aspect`` times as wide as high.

        Examples:
            >>> FrameScaling(short_side=268).size_of(256, 340)
            (268, 355)
            >>> FrameScaling(short_side=224, keep_ratio=False).size_of(256, 340)
            (224, 224)
            >>> FrameScaling(square_pixels=True).size_of(256, 340, 64 / 51)
            (256, 427)
        """
        if self.square_pixels:
            width = max(round(width * pixel_aspect), 1)
        if self.short_side is None:
            return height, width
        if not self.keep_ratio:
            return self.short_side, self.short_side
        short = min(height, width)
        return height * self.short_side // short, width * self.short_side // short

    def scale(self, frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Scale a full-size frame, uint8 (H, W, 3), to the ``size`` that :meth:`size_of` tells.

        A frame that has it is given back itself.
        """
        if size == frame.shape[:2]:
            return frame
        height, width = size
        if self.interpolation == 'nearest':
            rows = _nearest(frame.shape[0], height)
            return frame.take(rows, axis=0).take(_nearest(frame.shape[1], width), axis=1)
        if self.interpolation == 'cv2_bilinear':
            return cv2.resize(np.ascontiguousarray(frame), (width, height))
        method = _BY_PIL.get(self.interpolation, Image.Resampling.BICUBIC)
        return np.asarray(Image.fromarray(frame).resize((width, height), method))


FULL_SIZE = FrameScaling()


@lru_cache(maxsize=256)
def _nearest(old: int, new: int) -> np.ndarray:
    """Which of ``old`` pixels each of ``new`` ones shows, int64 (new,): the one under its centre.

    PIL adds the step up pixel by pixel. Its rounding decides where a centre lies between two
    pixels, so this adds up in the same order.

    Examples:
        >>> _nearest(8, 4).tolist()
        [1, 3, 5, 7]
    """
    steps = np.full(new, old / new)
    steps[0] /= 2
    return np.cumsum(steps).astype(np.int64)
