"""Full-size training steps on the meta device: shapes, dtypes and devices, and no value is read."""

from contextlib import nullcontext

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.utils._python_dispatch import TorchDispatchMode

from tests.test_models.test_micro_batches import total
from tests.tiny_model import ROOT
from tvtsv2_mm.models.cost import kept_count
from tvtsv2_mm.registry import MODELS


class OnMeta(TorchDispatchMode):
    """Refuse what is made on another device.

    But numbers, for an optimiser counts its steps there, and what is empty, for checkpointing keeps
    the state of no device.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        assert (not isinstance(made, torch.Tensor) or made.is_meta or not made.ndim
                or not made.numel()), func
        return made


@pytest.mark.parametrize(('size', 'mask', 'texts', 'options'), [
    ('h14', 0.7, 4, dict()), ('h14', 0.7, 1, dict(micro_batch_size=32)), ('b16', 0.5, 1, dict())])
def test_a_step_at_full_size(monkeypatch, size, mask, texts, options):
    monkeypatch.setattr('torch.autocast', lambda *_, **__: nullcontext())  # it knows no meta
    cfg = Config.fromfile(ROOT / f'configs/_base_/models/tvtsv2_vit-{size}.py').model
    cfg.update(options, data_preprocessor=None)
    cfg.backbone.checkpointing = bool(options)
    with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(cfg).train()
        side, kept = cfg.backbone.image_size, kept_count(cfg.backbone, mask)
        inputs = dict(
            video=torch.empty(64, cfg.backbone.num_frames, 3, side, side),
            tokens=torch.empty(64, texts, 32, dtype=torch.int64),
            kept_patches=torch.empty(64, kept, dtype=torch.int64))
        optimizer = torch.optim.AdamW(
            [own for own in model.parameters() if own.requires_grad], foreach=True)
    with OnMeta():
        losses = model(inputs, None, mode='loss')
        total(losses).backward()
        optimizer.step()
    assert ('loss_sorting' in losses) is (texts > 1)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.is_meta, name
            assert parameter.grad.shape == parameter.shape, name
