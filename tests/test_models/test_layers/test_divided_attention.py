import pytest
import torch

from tvtsv2_mm.models.layers import DividedAttention


def plain(layer: DividedAttention, x: torch.Tensor, num_frames: int) -> torch.Tensor:
    """The definition, one query after the other."""
    length, width = x.shape[1:]
    patches = (length - 1) // num_frames
    q, k, v = layer.qkv(x).chunk(3, dim=-1)
    out = torch.zeros_like(x)
    head_dim = width // layer.heads
    for query in range(length):
        if query == 0:
            seen = list(range(length))
        else:
            frame, patch = divmod(query - 1, patches)
            group = ([1 + t * patches + patch for t in range(num_frames)] if layer.over == 'time'
                     else [1 + frame * patches + p for p in range(patches)])
            seen = [0, *group]
        for head in range(layer.heads):
            part = slice(head * head_dim, (head + 1) * head_dim)
            scores = torch.einsum('bd,bnd->bn', q[:, query, part], k[:, seen, part])
            weights = (scores * head_dim**-0.5).softmax(dim=-1)
            out[:, query, part] = torch.einsum('bn,bnd->bd', weights, v[:, seen, part])
    return layer.proj(out)


@pytest.mark.parametrize('over', ['time', 'space'])
@pytest.mark.parametrize(('frames', 'patches'), [(1, 4), (3, 4), (4, 1)])
def test_equals_definition(over, frames, patches):
    torch.manual_seed(0)
    layer = DividedAttention(width=12, heads=3, over=over)
    x = torch.randn(2, 1 + frames * patches, 12, requires_grad=True)
    expected = plain(layer, x, frames)
    expected_grad, = torch.autograd.grad(expected.square().sum(), x)
    out = layer(x, frames)
    grad, = torch.autograd.grad(out.square().sum(), x)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(grad, expected_grad, atol=1e-5, rtol=1e-4)


def test_zero_init_is_silent_but_learns():
    layer = DividedAttention(width=12, heads=3, over='time', zero_init=True)
    out = layer(torch.randn(2, 13, 12), 3)
    assert out.abs().max() == 0
    out.sum().backward()
    assert layer.qkv.weight.grad.abs().max() > 0


@pytest.mark.parametrize(('args', 'message'), [
    (dict(width=10, heads=3, over='time'), 'multiple of heads'),
    (dict(width=12, heads=3, over='frames'), "'time' or 'space'"),
])
def test_bad_arguments(args, message):
    with pytest.raises(ValueError, match=message):
        DividedAttention(**args)
