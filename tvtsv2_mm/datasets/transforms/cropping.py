"""Cut the square that the model sees out of the frames."""

import numpy as np
from mmcv.transforms import BaseTransform

from tvtsv2_mm.registry import TRANSFORMS

MODES = ('random', 'center', 'three')


@TRANSFORMS.register_module()
class CropClip(BaseTransform):
    """Cut the same square out of every frame; one square is a view, no pixel is copied.

    Required Keys:

    - imgs (T, H, W, 3)
    - rng (mode 'random')

    Modified Keys:

    - imgs (T, size, size, 3); mode 'three': (3 T, size, size, 3), one crop after the other, each
      with all T frames
    - num_views (mode 'three': three times what it was, or 3)

    Args:
        size: Side of the square in pixels.
        mode: 'random' (training), 'center' (evaluation), or 'three' (multi-view evaluation): both
            ends of the longer side and its centre.

    Raises:
        ValueError: If the frames are smaller than the square.
    """

    def __init__(self, *, size: int = 224, mode: str = 'random') -> None:
        if size < 1:
            raise ValueError(f'size must be at least 1 pixel, got {size}')
        if mode not in MODES:
            raise ValueError(f'mode must be one of {MODES}, got {mode!r}')
        self.size = size
        self.mode = mode

    def transform(self, results: dict) -> dict:
        """Crop ``imgs``."""
        imgs, size = results['imgs'], self.size
        height, width = imgs.shape[1:3]
        if min(height, width) < size:
            raise ValueError(
                f'{results.get("filename", "clip")}: frames of {height}x{width} pixels are smaller '
                f'than the crop of {size}x{size}; set short_side of OpenVideo to at least {size}')
        if self.mode == 'three':
            return self._three_crops(results)
        if self.mode == 'center':
            top, left = _middle(height - size), _middle(width - size)
        else:
            rng = results['rng']
            top = int(rng.integers(height - size + 1))
            left = int(rng.integers(width - size + 1))
        results['imgs'] = imgs[:, top:top + size, left:left + size]
        return results

    def _three_crops(self, results: dict) -> dict:
        imgs, size = results['imgs'], self.size
        rows, columns = (length - size for length in imgs.shape[1:3])
        top, left = _middle(rows), _middle(columns)
        places = [(top, 0), (top, left), (top, columns)]
        if rows > columns:
            places = [(0, left), (top, left), (rows, left)]
        views = results.get('num_views', 1)
        clips = np.split(imgs, views)
        results['imgs'] = np.concatenate([
            clip[:, top:top + size, left:left + size] for clip in clips for top, left in places])
        results['num_views'] = 3 * views
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, mode={self.mode!r})'


def _middle(rest: int) -> int:
    """Pixels before a centre crop that leaves ``rest``, rounded as the release and PIL users do.

    Half pixels go to the even side: 131 / 2 is 66, 133 / 2 is 66.
    """
    return round(rest / 2)
