"""Hand a sample over to the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmcv.transforms import BaseTransform

from tvtsv2_mm.registry import TRANSFORMS

META_KEYS = ('sample_id', 'sample_idx', 'filename', 'num_valid_frames', 'num_views', 'texts',
             'num_cut_texts', 'vocabulary', 'skipped', 'span', 'segments_s', 'frame_inds',
             'frame_spacing', 'total_frames', 'fps')


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class PackVideoText(BaseTransform):
    """Pack a sample into ``inputs`` (tensors) and ``data_samples`` (labels and where it came from).

    Required keys: imgs (uint8 (T, H, W, 3), or patches (T, P', p, p, 3) behind RandomTubeMask);
    optional: tokens (int64 (K, L)), kept_patches (int64 (P',)), label or gt_label (int or list of
    int).

    The result has only ``inputs``: dict(video=uint8 tensor (T, 3, H, W) or (T, P', 3, p, p),
    tokens, kept_patches) and ``data_samples``: an ``ActionDataSample`` with ``gt_label`` where
    there is a label, and those of ``meta_keys`` that the sample has.

    Args:
        meta_keys: Keys that travel with the sample as its metainfo.
    """

    meta_keys: Sequence[str] = META_KEYS

    def __post_init__(self) -> None:
        self.meta_keys = tuple(self.meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack."""
        # One copy, which drops what the crop left out; the channels move in the view only.
        imgs = np.array(results['imgs'], order='C')
        inputs = {'video': torch.from_numpy(imgs).movedim(-1, -3)}
        for key in ('tokens', 'kept_patches'):
            if key in results:
                inputs[key] = torch.as_tensor(results[key])
        sample = ActionDataSample()
        label = results.get('gt_label', results.get('label'))
        if label is not None:
            sample.set_gt_label(label)
        sample.set_metainfo({key: results[key] for key in self.meta_keys if key in results})
        return {'inputs': inputs, 'data_samples': sample}
