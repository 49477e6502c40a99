from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tvtsv2_mm.models.layers import DividedAttention, SpaceTimeBlock, TokenRows
from tvtsv2_mm.models.layers.divided_attention import (
    GroupedAttention,
    joint_attention,
    plain_attention,
)

SHAPES = [(1, 4), (3, 4), (4, 1)]


def make_qkv(layout: TokenRows, dtype: torch.dtype = torch.float64) -> Tensor:
    """Queries, keys and values of 3 heads of width 4, as token rows."""
    torch.manual_seed(0)
    return torch.randn(layout.rows, 3, 3, 4, dtype=dtype, requires_grad=True)


def definition(qkv: Tensor, layout: TokenRows, over: str) -> Tensor:
    """One query after the other."""
    clips, frames, patches, class_tokens = layout
    out = torch.zeros_like(qkv[:, 0])
    for clip in range(clips):
        first = clip * frames * patches
        class_row = [clips * frames * patches + clip] * class_tokens
        for frame in range(frames):
            for patch in range(patches):
                group = dict(
                    time=[first + t * patches + patch for t in range(frames)],
                    space=[first + frame * patches + p for p in range(patches)],
                    clip=range(first, first + frames * patches))[over]
                out[first + frame * patches + patch] = attend(
                    qkv, first + frame * patches + patch, [*class_row, *group])
        for row in class_row:
            out[row] = attend(qkv, row, [row, *range(first, first + frames * patches)])
    return out


def attend(qkv: Tensor, query: int, seen: list[int]) -> Tensor:
    scores = torch.einsum('hd,nhd->hn', qkv[query, 0], qkv[seen, 1]) * qkv.shape[-1]**-0.5
    return torch.einsum('hn,nhd->hd', scores.softmax(dim=-1), qkv[seen, 2])


def joint(qkv: Tensor, layout: TokenRows, over: str) -> Tensor:
    return joint_attention(qkv, layout)


@pytest.mark.parametrize(('attention', 'over'), [
    *((attention, over) for attention in (plain_attention, GroupedAttention.apply)
      for over in ('time', 'space')), (joint, 'clip')])
@pytest.mark.parametrize(('frames', 'patches'), SHAPES)
@pytest.mark.parametrize('class_tokens', [1, 0])
def test_equals_definition(attention, over, frames, patches, class_tokens):
    layout = TokenRows(2, frames, patches, class_tokens)
    qkv = make_qkv(layout)
    expected = definition(qkv, layout, over)
    weights = torch.randn_like(expected)
    expected_grad, = torch.autograd.grad(expected, qkv, weights)
    out = attention(qkv, layout, over)
    grad, = torch.autograd.grad(out, qkv, weights)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize('over', ['time', 'space'])
def test_groups_in_several_calls(over, monkeypatch):
    layout = TokenRows(3, 3, 4)
    qkv = make_qkv(layout)
    expected = plain_attention(qkv, layout, over)
    expected_grad, = torch.autograd.grad(expected, qkv, expected.detach())
    monkeypatch.setattr(
        'tvtsv2_mm.models.layers.divided_attention._most_groups', lambda _: 5)
    out = plain_attention(qkv, layout, over)
    grad, = torch.autograd.grad(out, qkv, expected.detach())
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize(('clips', 'groups', 'heads', 'head_dim', 'calls'), [
    (111, 196, 12, 64, 1),  # B/16
    (112, 196, 12, 64, 2),
    (512, 196, 12, 64, 5),
    (42, 256, 16, 80, 2),  # H/14
    (334, 196, 1, 64, 1),
    (335, 196, 1, 64, 2),
])
def test_no_call_has_more_groups_than_gpus_take(clips, groups, heads, head_dim, calls, monkeypatch):
    """That is 65535, and what fills FlashAttention's buffer. Sizes alone, on the meta device."""
    own, found = F.scaled_dot_product_attention, []
    monkeypatch.setattr(
        F, 'scaled_dot_product_attention', lambda q, *kv: found.append(q.shape) or own(q, *kv))
    layout = TokenRows(clips, 12, groups)
    qkv = torch.empty(
        clips * (12 * groups + 1), 3, heads, head_dim, dtype=torch.bfloat16, device='meta')
    assert plain_attention(qkv, layout, 'time').shape == qkv[:, 0].shape
    of_groups = [shape[0] for shape in found if shape[2] == 12]
    assert len(of_groups) == calls
    assert sum(of_groups) == clips * groups
    assert all(n <= 65535 and n * heads * 128 * -(-head_dim // 32) * 32 <= 2**31
               for n in of_groups)


def test_numbers_of_groups_compile_nothing_anew():
    """As long as they go in one call, or in as many."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: list) -> Callable:
        graphs.append(graph)
        return graph.forward

    # torch 2.7 never compiles a function again that it has once met under a FlopCounterMode; one
    # of this test's own it has not met.
    def attend(*given):
        return plain_attention(*given)

    torch._dynamo.reset()
    compiled = torch.compile(attend, fullgraph=True, backend=backend)
    for clips, expected in ((2, 1), (3, 2), (8, 2), (111, 2), (120, 3), (200, 3), (5, 3)):
        qkv = torch.empty(clips * (12 * 196 + 1), 3, 12, 64, device='meta')
        compiled(qkv, TokenRows(clips, 12, 196), 'time')
        assert len(graphs) == expected


@pytest.mark.parametrize('over', ['time', 'space'])
@pytest.mark.parametrize('class_tokens', [1, 0])
def test_half_precision_is_near(over, class_tokens):
    layout = TokenRows(2, 3, 4, class_tokens)
    exact = make_qkv(layout)
    qkv = exact.detach().bfloat16().requires_grad_()
    expected, out = (f(x, layout, over) for f, x in (
        (plain_attention, exact), (GroupedAttention.apply, qkv)))
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), expected, atol=0.03, rtol=0.03)
    weights = torch.randn_like(expected)
    expected_grad, = torch.autograd.grad(expected, exact, weights)
    grad, = torch.autograd.grad(out, qkv, weights.bfloat16())
    torch.testing.assert_close(grad.double(), expected_grad, atol=0.05, rtol=0.05)


@pytest.mark.parametrize('over', ['time', 'space'])
def test_module_and_its_class_rows(over):
    """The whole layer by either way, and the class tokens alone."""
    torch.manual_seed(0)
    layout = TokenRows(2, 3, 4)
    layer = DividedAttention(width=12, heads=3, over=over).double()
    x = torch.randn(26, 12, dtype=torch.float64)
    out = layer(layer.qkv(x), layout)
    qkv = layer.qkv(x).unflatten(-1, (3, 3, 4))
    torch.testing.assert_close(out, layer.proj(definition(qkv, layout, over).flatten(1)))
    torch.testing.assert_close(layer.forward_class(x, layout), layout.split(out)[1])


def test_exported_programs_hold_plain_operations():
    layout = TokenRows(2, 3, 4)

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = DividedAttention(width=12, heads=3, over='time')

        def forward(self, qkv: Tensor) -> Tensor:
            return self.layer(qkv, layout)

    program = torch.export.export(Layer(), (torch.randn(26, 36), ), strict=False)
    names = {str(node.target) for node in program.graph.nodes}
    assert 'aten.scaled_dot_product_attention.default' in names
    assert not any('bmm' in name for name in names)


@pytest.mark.parametrize('zero_init', ['qkv', 'proj'])
def test_zero_init_is_silent_but_learns(zero_init):
    layer = DividedAttention(width=12, heads=3, over='time', zero_init=zero_init)
    out = layer(layer.qkv(torch.randn(26, 12)), TokenRows(2, 3, 4))
    assert out.abs().max() == 0
    out.square().sum().add(out.sum()).backward()
    learns = layer.qkv if zero_init == 'qkv' else layer.proj
    assert learns.weight.grad.abs().max() > 0


def time_gradient(time_init: str) -> float:
    """Largest gradient of time attention, as a share of that of space attention."""
    torch.manual_seed(0)
    block = SpaceTimeBlock(width=48, heads=3, activation='gelu', time_init=time_init)
    block(torch.randn(26, 48), TokenRows(2, 3, 4)).pow(3).sum().backward()
    largest = [max(p.grad.abs().max() for p in (part.qkv.weight, part.proj.weight))
               for part in (block.timeattn, block.attn)]
    return (largest[0] / largest[1]).item()


def test_the_releases_start_hides_from_the_gradient():
    """Equal output weights add the same to all channels, and ln_1 takes that out again."""
    assert time_gradient('qkv') < 1e-5
    assert time_gradient('proj') > 1e-2


@pytest.mark.parametrize(('args', 'message'), [
    (dict(width=10, heads=3, over='time'), 'multiple of heads .3.: set backbone.heads .*--heads'),
    (dict(width=12, heads=3, over='frames'), "'time', 'space' or 'clip'"),
    (dict(width=12, heads=3, over='time', zero_init='all'), "'qkv' or 'proj'"),
])
def test_bad_arguments(args, message):
    with pytest.raises(ValueError, match=message):
        DividedAttention(**args)
