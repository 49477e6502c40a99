"""Cut the square that the model sees out of the frames."""

from mmcv.transforms import BaseTransform

from tvtsv2_mm.registry import TRANSFORMS

MODES = ('random', 'center')


@TRANSFORMS.register_module()
class CropClip(BaseTransform):
    """Cut the same square out of every frame; the result is a view, no pixel is copied.

    Required Keys:

    - imgs (T, H, W, 3)
    - rng (mode 'random')

    Modified Keys:

    - imgs (T, size, size, 3)

    Args:
        size: Side of the square in pixels.
        mode: 'random' (training) or 'center' (evaluation).

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
        if self.mode == 'center':
            top, left = (height - size) // 2, (width - size) // 2
        else:
            rng = results['rng']
            top = int(rng.integers(height - size + 1))
            left = int(rng.integers(width - size + 1))
        results['imgs'] = imgs[:, top:top + size, left:left + size]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, mode={self.mode!r})'
