"""Choose the patches that the video encoder sees, and cut them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from tvtsv2_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class RandomTubeMask(BaseTransform):
    """Keep a random part of the patch positions, the same ones in every frame of the clip (tubes).

    Of P patches of a frame ``int(P * (1 - ratio))`` are kept: 98 of 196 for ViT-B/16 at 0.5, 76 of
    256 for ViT-H/14 at 0.7. The others end here: what leaves the worker, goes to the device and is
    normalised there is the kept patches alone. The class token always stays. The backbone
    must take ``kept_patches`` (SpaceTimeViT, FramewiseViT); others raise an error that says so.

    In a pipeline of MMAction2 it stands between ``FormatShape(input_format='NCTHW')`` and
    ``PackActionInputs(collect_keys=('imgs', 'kept_patches'))``, whose dict takes a
    ``MultiModalDataPreprocessor`` and a ``MMRecognizer3D``. What it needs of the backbone is
    ``forward(imgs, kept_patches)`` with (B, 3, T, P' * p, p), the kept patches one below the other,
    and (B, P'); and without ``kept_patches`` whole frames, where a pipeline has no mask. Ours has
    it with ``output``. Whatever moves or mixes pixels afterwards (a crop, mixup) would mix patches
    of different places.

    Required keys: imgs (uint8 (T, H, W, 3), or (M, 3, T, H, W) of MMAction2, whose size gives P),
    rng (optional: numpy's own generator draws without it).

    Modified keys: imgs (uint8 (T, P', p, p, 3), or (M, 3, T, P' * p, p)).

    Added keys: kept_patches (int64 (P',), sorted, row by row from the top left; or (M, P'), other
    ones for each of the M clips).

    Args:
        patch_size: Side of a patch in pixels; the backbone's.
        ratio: Share of patches to drop, 0 <= ratio < 1.

    Raises:
        ValueError: If the picture cannot be cut into whole patches, no patch would be kept, or the
            transform stands elsewhere.
    """

    patch_size: int = 16
    ratio: float = 0.5

    def __post_init__(self) -> None:
        if self.patch_size < 1:
            raise ValueError(f'patch_size must be at least 1 pixel, got {self.patch_size}')
        if not 0 <= self.ratio < 1:
            raise ValueError(f'ratio must be in [0, 1), got {self.ratio}')

    def transform(self, results: dict) -> dict:
        """Add ``kept_patches`` and cut them out of ``imgs``."""
        imgs = results.get('imgs')
        if not isinstance(imgs, np.ndarray) or not (
                (imgs.ndim == 5 and imgs.shape[1] == 3) if 'clip_len' in results
                else (imgs.ndim == 4 and imgs.shape[3] == 3)):
            raise ValueError(
                'RandomTubeMask needs imgs of the shape (T, H, W, 3), as CropClip leaves them, or '
                "in a pipeline of MMAction2 (M, 3, T, H, W): put it right behind dict(type="
                f"'FormatShape', input_format='NCTHW'). It got {_what(imgs)}")
        random = results.get('rng', np.random)
        if imgs.ndim == 4:
            results['kept_patches'], results['imgs'] = self._cut(imgs, random)
            return results
        kept, cut = zip(*(self._cut(clip.transpose(1, 2, 3, 0), random) for clip in imgs),
                        strict=True)
        # (M, T, P', p, p, 3) -> (M, 3, T, P' * p, p)
        strips = np.stack(cut).transpose(0, 5, 1, 2, 3, 4)
        strips = strips.reshape(*strips.shape[:3], -1, self.patch_size)
        results.update(kept_patches=np.stack(kept), imgs=strips, input_shape=strips.shape)
        return results

    def _cut(self, imgs: np.ndarray, random: Any) -> tuple[np.ndarray, np.ndarray]:
        """Draw for a clip (T, H, W, 3): which are kept (P',), and what they show."""
        side = self.patch_size
        height, width = imgs.shape[1:3]
        if height % side or width % side:
            raise ValueError(f'frames of {height}x{width} pixels cannot be cut into whole patches '
                             f'of {side} pixels; crop to a multiple of the patch size')
        rows, columns = height // side, width // side
        num_patches = rows * columns
        # 1 - 0.7 is a little more than 0.3: the same floating point as the release, then int().
        num_kept = int(num_patches * (1 - self.ratio))
        if num_kept == 0:
            raise ValueError(f'ratio={self.ratio} keeps none of the {num_patches} patches')
        kept = np.sort(random.permutation(num_patches)[:num_kept])
        grid = imgs.reshape(len(imgs), rows, side, columns, side, 3).swapaxes(2, 3)
        return kept, grid[:, kept // columns, kept % columns]


def _what(imgs: Any) -> str:
    if imgs is None:
        return 'none: they are not decoded yet, or packed already'
    return (f'{type(imgs).__name__} of {len(imgs)} frames' if isinstance(imgs, Sequence)
            else f'{tuple(imgs.shape)}')
