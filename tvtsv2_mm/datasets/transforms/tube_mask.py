"""Choose the patches that the video encoder sees, and cut them out."""

from dataclasses import dataclass

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

    Required keys: imgs (uint8 (T, H, W, 3), whose size gives P), rng.

    Modified keys: imgs (uint8 (T, P', p, p, 3)).

    Added keys: kept_patches (int64 (P',), sorted, row by row from the top left).

    Args:
        patch_size: Side of a patch in pixels; the backbone's.
        ratio: Share of patches to drop, 0 <= ratio < 1.

    Raises:
        ValueError: If the picture cannot be cut into whole patches, or no patch would be kept.
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
        imgs, side = results['imgs'], self.patch_size
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
        kept = np.sort(results['rng'].permutation(num_patches)[:num_kept])
        grid = imgs.reshape(len(imgs), rows, side, columns, side, 3).swapaxes(2, 3)
        results.update(kept_patches=kept, imgs=grid[:, kept // columns, kept % columns])
        return results
