"""Embeddings, losses and gradients on the device are those of the CPU in float32."""

import pytest
import torch
from torch import nn

from tests.test_models.conftest import SIZES
from tests.test_models.test_micro_batches import build, total
from tvtsv2_mm.models.layers import TokenRows
from tvtsv2_mm.models.layers.divided_attention import GroupedAttention, plain_attention

WIDE = dict(SIZES, backbone=dict(  # blocks of B/16
    SIZES['backbone'], image_size=64, patch_size=16, width=768, layers=2, heads=12))
# The largest errors, of the norm: of embeddings and losses, and of a gradient. The largest on a CPU
# are in bfloat16 0.018 and 0.12 (where little flows: into the time attention of a model that is not
# trained), and an eighth of that in float16.
BOUNDS = dict(float32=(1e-4, 1e-4), bfloat16=(0.03, 0.25), float16=(0.004, 0.04))


def make_inputs(sizes: dict, masked: bool, texts: int) -> dict:
    """Four different clips, the texts of which end elsewhere."""
    torch.manual_seed(1)
    side = sizes['backbone']['image_size']
    patches = (side // sizes['backbone']['patch_size'])**2
    tokens = torch.randint(1, 60, (4, texts, 12))
    for row, end in zip(tokens.flatten(0, 1), [3, 8, 5, 4, 9, 7] * 2, strict=False):
        row[end], row[end + 1:] = 63, 0
    kept = torch.rand(4, patches).argsort(dim=1)[:, :patches // 3].sort(dim=1).values
    return dict(video=torch.randn(4, 6, 3, side, side), tokens=tokens,
                **dict(kept_patches=kept) if masked else {})


def compute(model: nn.Module, inputs: dict, device: str, dtype: str = 'float32') -> dict:
    """What a model gives in training, by name, on the CPU."""
    inputs = {key: value.to(device) for key, value in inputs.items()}
    # As in a run, which finds a scale that suits.
    scaler = torch.amp.GradScaler(device, init_scale=256, enabled=dtype == 'float16')
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with torch.autocast(device, getattr(torch, dtype), enabled=dtype != 'float32'):
        found = model(inputs, mode='tensor')
        losses = model(inputs, None, mode='loss')
    scaler.scale(total(losses)).backward()
    scaler.unscale_(optimizer)
    found |= losses | {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    return {name: value.detach().cpu().float() for name, value in found.items()}


def assert_close(found: dict, expected: dict, bounds: tuple[float, float]) -> None:
    assert list(found) == list(expected)
    whole = torch.stack([value.norm() for name, value in expected.items() if '.' in name]).norm()
    for name, value in expected.items():
        norm, bound = value.norm(), bounds['.' in name]
        if '.' in name:  # some are little but rounding: of time attention, biases of keys
            norm += whole / 300
        error = (found[name] - value).norm()
        assert error <= bound * norm, f'{name}: {error / norm:.2g} is more than {bound}'


@pytest.mark.parametrize(('dtypes', 'sizes', 'masked', 'texts', 'options'), [
    ('float32 bfloat16 float16', SIZES, True, 3, ''),
    ('float32 bfloat16 float16', SIZES, False, 3, ''),
    ('float32', SIZES, True, 1, ''),
    ('float32', SIZES, True, 3, 'checkpointing'),
    ('float32 bfloat16', SIZES, True, 3, 'micro_batches'),
    ('float32 bfloat16', SIZES, True, 3, 'compile'),
    ('float16', SIZES, False, 1, 'checkpointing compile micro_batches'),
    ('float32 bfloat16', WIDE, True, 3, ''),
    ('bfloat16', WIDE, True, 3, 'compile'),
], ids=['masked', 'whole', 'one_text', 'checkpointing', 'micro_batches', 'compile', 'all', 'wide',
        'wide_compile'])
def test_those_of_the_cpu(device, compile_blocks, dtypes, sizes, masked, texts, options):
    inputs = make_inputs(sizes, masked, texts)
    expected = compute(build(sizes), inputs, 'cpu')
    backbone = dict(sizes['backbone'], checkpointing='checkpointing' in options)
    for dtype in dtypes.split():
        model = build(dict(sizes, backbone=backbone),
                      2 if 'micro_batches' in options else None).to(device)
        if 'compile' in options:
            compile_blocks(model)
        found = compute(model, inputs, device, dtype)
        assert_close(found, expected, BOUNDS[dtype])
        assert dtype == 'float32' or not torch.equal(
            found['video_embeds'], expected['video_embeds'])


@pytest.mark.parametrize(('clips', 'heads', 'dtype'), [
    (4097, 1, torch.float32), (4097, 1, torch.bfloat16), (513, 64, torch.bfloat16)])
def test_more_groups_than_one_call_takes(device, clips, heads, dtype):
    """More than 65535, and more than FlashAttention's backward finds by 32 bits (takes 4.3 GB)."""
    torch.manual_seed(0)
    layout = TokenRows(clips, 1, 16)
    qkv, out_grad = torch.randn(clips * 17, 4, heads, 8).split([3, 1], dim=1)
    found = []
    for attention, own in ((GroupedAttention.apply, qkv), (plain_attention, qkv.to(device, dtype))):
        own = own.detach().requires_grad_()
        out = attention(own, layout, 'time')
        grad, = torch.autograd.grad(out, own, out_grad[:, 0].to(out))
        found.append((out.detach().cpu().float(), grad.cpu().float()))
    for expected, value in zip(*found, strict=True):
        torch.testing.assert_close(value, expected, atol=0.1, rtol=0.1)
