"""What hooks that test a model are tested on."""

import torch
from mmaction.structures import ActionDataSample

from tvtsv2_mm.registry import MODELS

HEAD = dict(type='ZeroShotHead', classes=['left', 'right', 'up'], context_length=32)


def batch() -> dict:
    """Three videos of three classes."""
    samples = [ActionDataSample().set_gt_label(label) for label in range(3)]
    generator = torch.Generator().manual_seed(3)
    video = torch.randint(0, 256, (3, 8, 3, 64, 64), generator=generator, dtype=torch.uint8)
    return dict(inputs=dict(video=list(video)), data_samples=samples)


class Loader(list):
    """Of batches."""

    dataset = range(3)


def own_figure(model) -> float:
    """Top 1 of the same videos, by the model itself."""
    model.eval().cls_head = MODELS.build(HEAD)
    with torch.no_grad():
        samples = model.test_step(batch())
    model.cls_head = None
    return 100 * sum(int(sample.pred_label == sample.gt_label) for sample in samples) / 3
