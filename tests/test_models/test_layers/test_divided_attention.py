import pytest
import torch

from tvtsv2_mm.models.layers import DividedAttention, SpaceTimeBlock


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


@pytest.mark.parametrize('zero_init', ['qkv', 'proj'])
def test_zero_init_is_silent_but_learns(zero_init):
    layer = DividedAttention(width=12, heads=3, over='time', zero_init=zero_init)
    out = layer(torch.randn(2, 13, 12), 3)
    assert out.abs().max() == 0
    out.square().sum().add(out.sum()).backward()
    learns = layer.qkv if zero_init == 'qkv' else layer.proj
    assert learns.weight.grad.abs().max() > 0


def time_gradient(time_init: str) -> float:
    """Largest gradient of time attention, as a share of that of space attention."""
    torch.manual_seed(0)
    block = SpaceTimeBlock(width=48, heads=3, activation='gelu', time_init=time_init)
    block(torch.randn(2, 13, 48), 3).pow(3).sum().backward()
    largest = [max(p.grad.abs().max() for p in (part.qkv.weight, part.proj.weight))
               for part in (block.timeattn, block.attn)]
    return (largest[0] / largest[1]).item()


def test_the_releases_start_hides_from_the_gradient():
    """Equal output weights add the same to all channels, and ln_1 takes that out again."""
    assert time_gradient('qkv') < 1e-5
    assert time_gradient('proj') > 1e-2


@pytest.mark.parametrize(('args', 'message'), [
    (dict(width=10, heads=3, over='time'), 'multiple of heads'),
    (dict(width=12, heads=3, over='frames'), "'time' or 'space'"),
    (dict(width=12, heads=3, over='time', zero_init='all'), "'qkv' or 'proj'"),
])
def test_bad_arguments(args, message):
    with pytest.raises(ValueError, match=message):
        DividedAttention(**args)
