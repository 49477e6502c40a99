"""A batch encoded in parts: the loss and gradient of the whole one, the memory of a part."""

import gc

import pytest
import torch
from mmaction.structures import ActionDataSample
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.helpers import assert_close, run_ranks
from tvtsv2_mm.engine.strategies.fully_shard_strategy import gathers_again
from tvtsv2_mm.models import VideoTextModel


@pytest.fixture
def batch(inputs) -> dict:
    """Five different clips; each text ends elsewhere."""
    inputs = {key: torch.cat([value] * 3)[:5].clone() for key, value in inputs.items()}
    inputs['video'] += torch.randn_like(inputs['video'])
    inputs['tokens'][..., :8] = torch.randint(1, 60, (5, 3, 8))
    for own, end in zip(inputs['tokens'], (3, 8, 5, 4, 9), strict=True):
        own[:, end] = 63
        own[:, end + 1:] = 0
    return inputs


def samples(labels: list[int]) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(label) for label in labels]


def build(model_cfg: dict, micro_batch_size: int | None = None) -> VideoTextModel:
    torch.manual_seed(0)
    model = VideoTextModel(**model_cfg, micro_batch_size=micro_batch_size)
    with torch.no_grad():  # time attention starts as zero
        for parameter in model.backbone.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def total(losses: dict) -> torch.Tensor:
    return sum(value for key, value in losses.items() if 'loss' in key)


def losses_and_gradients(model: VideoTextModel, inputs: dict, dtype: torch.dtype = torch.float32,
                         data_samples: list | None = None) -> tuple[dict, dict]:
    with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
        losses = model(inputs, data_samples, mode='loss')
    total(losses).backward()
    return losses, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def assert_same(found: tuple[dict, dict], expected: tuple[dict, dict]) -> None:
    for own, other in zip(found, expected, strict=True):
        assert list(own) == list(other)
        for name, value in own.items():
            assert_close(value, other[name], name)


@pytest.mark.parametrize('masked', [True, False])
@pytest.mark.parametrize('texts', [1, 3])
@pytest.mark.parametrize('size', [1, 2, 5, 8])
def test_loss_and_gradient_of_the_whole_batch(model_cfg, batch, size, texts, masked):
    batch['tokens'] = batch['tokens'][:, :texts]
    if not masked:
        del batch['kept_patches']
    expected = losses_and_gradients(build(model_cfg), batch)
    assert_same(losses_and_gradients(build(model_cfg, size), batch), expected)


def test_bfloat16(model_cfg, batch):
    whole, _ = losses_and_gradients(build(model_cfg), batch, torch.bfloat16)
    parts, grads = losses_and_gradients(build(model_cfg, 2), batch, torch.bfloat16)
    torch.testing.assert_close(parts['loss_contrastive'], whole['loss_contrastive'],
                               atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(parts['loss_sorting'], whole['loss_sorting'], atol=2e-2, rtol=1e-2)
    # The parts' gradients are bfloat16, but not their sum.
    grad = grads['backbone.resblocks.1.mlp.c_fc.weight']
    assert (grad != grad.bfloat16()).any()


def test_classes_of_a_frozen_encoder(model_cfg, batch):
    """A part may hold nothing that needs a gradient."""
    model_cfg = dict(
        backbone=model_cfg['backbone'] | dict(frozen=True),
        cls_head=dict(type='LinearProbeHead', num_classes=3, embed_dim=32))
    labels = samples([0, 2, 1, 1, 0])
    expected = losses_and_gradients(build(model_cfg), batch, data_samples=labels)
    assert set(expected[1]) == {'cls_head.fc.weight', 'cls_head.fc.bias'}
    assert_same(losses_and_gradients(build(model_cfg, 2), batch, data_samples=labels), expected)


def test_frozen_video_encoder_and_tuned_texts(model_cfg, batch):
    model_cfg['backbone']['frozen'] = True
    model_cfg['neck']['freeze_embeddings'] = True
    expected = losses_and_gradients(build(model_cfg), batch)
    assert_same(losses_and_gradients(build(model_cfg, 2), batch), expected)


class ReadValues(TorchDispatchMode):
    """Count the values that Python reads of a tensor: on a GPU each waits for the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('size', [None, 2])
def test_a_step_waits_for_no_value(model_cfg, batch, size):
    model = build(model_cfg, size)
    with ReadValues() as reads:
        total(model(batch, None, mode='loss')).backward()
    assert reads.count == 0
    with ReadValues() as reads:
        model.encode_text(batch['tokens'])
    assert reads.count == 1


@pytest.mark.parametrize('size', [0, -1])
def test_errors(model_cfg, size):
    with pytest.raises(ValueError, match=f'micro_batch_size must be at least 1.*not {size}'):
        VideoTextModel(**model_cfg, micro_batch_size=size)


class LiveBytes(TorchDispatchMode):
    """Follow the memory of every tensor that is made, whoever holds it; ``known`` is there."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def now(self) -> int:
        self.storages = {key: (ref, size) for key, (ref, size) in self.storages.items()
                         if not ref.expired()}
        return sum(size for _, size in self.storages.values())

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.known:
                    self.storages[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, self.now())
        return made


def kept_and_peak(model_cfg: dict, batch: dict, size: int | None) -> tuple[int, int]:
    """Bytes that wait for the backward, and the most that is alive at a time in it."""
    model = build(model_cfg, size)
    gc.disable()  # what only the collector would free counts as alive
    try:
        with LiveBytes([*model.parameters(), *model.buffers(), *batch.values()]) as live:
            loss = total(model(batch, None, mode='loss'))
            kept, live.peak = live.now(), 0
            loss.backward()
    finally:
        gc.enable()
    return kept, live.peak


def test_forward_keeps_the_embeddings_only(model_cfg, batch):
    deep = {part: dict(cfg) for part, cfg in model_cfg.items()}
    deep['backbone']['layers'] = deep['neck']['layers'] = deep['sorting_head']['depth'] = 5
    kept = kept_and_peak(model_cfg, batch, 2)[0]
    assert kept == kept_and_peak(deep, batch, 2)[0]
    assert kept_and_peak(model_cfg, batch, None)[0] > 500 * kept


def test_backward_holds_one_part(model_cfg, batch):
    """What three times as many clips add is no activation."""
    small = {key: value[:4] for key, value in batch.items()}
    large = {key: torch.cat([value] * 3) for key, value in small.items()}

    def growth(size):
        return kept_and_peak(model_cfg, large, size)[1] - kept_and_peak(model_cfg, small, size)[1]

    assert growth(2) < 0.002 * growth(None)


def check_rank(rank: int, world_size: int, model_cfg: dict, inputs: dict) -> None:
    reference = build(model_cfg)
    parallel = DistributedDataParallel(build(model_cfg, 2))
    # Each block is called once a part, and again in the backward.
    sharded = build(model_cfg, 2)
    for unit in (*sharded.backbone.resblocks, *sharded.neck.clip.text_model.encoder.layers,
                 *sharded.sorting_head.blocks, sharded):
        fully_shard(unit, mesh=init_device_mesh('cpu', (world_size, )))
    for texts in (3, 1, 3):
        batch = inputs | dict(tokens=inputs['tokens'][:, :texts])
        own = {key: value[3 * rank:3 * rank + 3] for key, value in batch.items()}
        models = [parallel, sharded] if gathers_again() else [parallel]
        for model in (reference, *models):
            model.zero_grad()
        expected = losses_and_gradients(reference, batch)[1]
        for model in models:
            found = losses_and_gradients(model, own)[1].values()
            for grad, (name, other) in zip(found, expected.items(), strict=True):
                assert_close(grad.full_tensor() if isinstance(grad, DTensor) else grad, other, name)


def test_two_ranks_give_the_gradient_of_the_joint_batch(model_cfg, batch):
    """Under DDP and under fully_shard."""
    batch = {key: torch.cat([value, value[:1].roll(1, dims=-1)]) for key, value in batch.items()}
    batch['kept_patches'] = batch['kept_patches'].sort(dim=-1).values
    run_ranks(2, check_rank, model_cfg, batch)
