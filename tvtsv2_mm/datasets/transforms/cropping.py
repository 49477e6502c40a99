"""Cut the square that the model sees out of the frames."""

from dataclasses import dataclass

import numpy as np
from mmcv.transforms import BaseTransform

from tvtsv2_mm.registry import TRANSFORMS

MODES = ('random', 'center', 'three')


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class CropClip(BaseTransform):
    """Cut the same square out of every frame; one square is a view, no pixel is copied.

    Required keys: imgs (T, H, W, 3), rng (mode 'random').

    Modified keys: imgs (T, size, size, 3); in mode 'three' (3 T, size, size, 3), one crop after the
    other, each with all T frames, and num_views, three times what it was, or 3.

    Args:
        size: Side of the square in pixels.
        mode: 'random' (training), 'center' (evaluation), or 'three' (multi-view evaluation): both
            ends of the longer side and its centre.

    Raises:
        ValueError: If the frames are smaller than the square.
    """

    size: int = 224
    mode: str = 'random'

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f'size must be at least 1 pixel, got {self.size}')
        if self.mode not in MODES:
            raise ValueError(f'mode must be one of {MODES}, got {self.mode!r}')

    def transform(self, results: dict) -> dict:
        """Crop ``imgs``."""
        imgs, size = results['imgs'], self.size
        height, width = imgs.shape[1:3]
        if min(height, width) < size:
            raise ValueError(
                f'{results.get("filename", "clip")}: frames of {height}x{width} pixels are smaller '
                f'than the crop of {size}x{size}; set short_side of OpenVideo to at least {size}')
        rows, columns = height - size, width - size
        top, left = _middle(rows), _middle(columns)
        if self.mode == 'three':
            places = [(top, 0), (top, left), (top, columns)]
            if rows > columns:
                places = [(0, left), (top, left), (rows, left)]
            views = results.get('num_views', 1)
            results['imgs'] = np.concatenate([
                clip[:, top:top + size, left:left + size]
                for clip in np.split(imgs, views) for top, left in places])
            results['num_views'] = 3 * views
            return results
        if self.mode == 'random':
            top, left = (int(results['rng'].integers(rest + 1)) for rest in (rows, columns))
        results['imgs'] = imgs[:, top:top + size, left:left + size]
        return results


def _middle(rest: int) -> int:
    """Pixels before a centre crop that leaves ``rest``, rounded as the release and PIL users do.

    Half pixels go to the even side: 131 / 2 is 66, 133 / 2 is 66.
    """
    return round(rest / 2)
