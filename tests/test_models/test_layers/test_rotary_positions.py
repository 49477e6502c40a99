import math

import pytest
import torch

from tvtsv2_mm.models.layers import RotaryPositions2D, TokenRows
from tvtsv2_mm.models.layers.rotary_positions import turn

LAYOUT = TokenRows(2, 3, 2)


def rows(layout: TokenRows = LAYOUT) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(layout.rows, 3, 2, 8, dtype=torch.float64, requires_grad=True)


def test_pairs_of_channels_are_turned_by_column_and_row():
    """As complex numbers; in a grid of 3 x 3, patch 5 is in column 2 of row 1, counted from 0."""
    patches = torch.tensor([[5, 0], [7, 5]])
    qkv = rows()
    own, class_tokens = LAYOUT.split(turn(qkv, RotaryPositions2D(grid=3, head_width=8)(patches),
                                          LAYOUT))
    given, given_class = LAYOUT.split(qkv)
    assert torch.equal(class_tokens, given_class)
    assert torch.equal(own[..., 2, :, :], given[..., 2, :, :])
    places = {5: (3, 2), 0: (1, 1), 7: (2, 3)}
    for clip in range(2):
        for number in range(2):
            column, row = places[patches[clip, number].item()]
            angles = torch.tensor([column, column / 100, row, row / 100])
            pairs = torch.view_as_complex(
                given[clip, :, number, :2].detach().unflatten(-1, (4, 2)).contiguous())
            expected = torch.view_as_real(pairs * torch.polar(torch.ones(4), angles)).flatten(-2)
            torch.testing.assert_close(own[clip, :, number, :2].detach(), expected,
                                       atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize('class_tokens', [1, 0])
def test_scores_are_of_distances(class_tokens):
    """Two patches a column and a row apart have the same product wherever they are."""
    layout = TokenRows(1, 1, 2, class_tokens)
    qkv = rows(layout).detach()
    scores = []
    for pair in ([0, 5], [6, 11], [10, 15]):
        turns = RotaryPositions2D(grid=4, head_width=8)(torch.tensor([pair]))
        patches = layout.split(turn(qkv, turns, layout))[0][0, 0]
        scores.append((patches[0, 0] * patches[1, 1]).sum(dim=-1))
    torch.testing.assert_close(scores[1], scores[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores[2], scores[0], atol=1e-5, rtol=1e-5)


def test_the_gradient_is_turned_back():
    turns = RotaryPositions2D(grid=3, head_width=8)(torch.tensor([[5, 0], [7, 5]])).double()
    assert torch.autograd.gradcheck(lambda qkv: turn(qkv, turns, LAYOUT), rows())


def test_angles_keep_float32_in_half_precision():
    turns = RotaryPositions2D(grid=40, head_width=8)(torch.tensor([[1599, 38]]))
    layout = TokenRows(1, 1, 2, 0)
    exact = rows(layout).detach()
    out = turn(exact.bfloat16(), turns, layout)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), turn(exact, turns, layout), atol=0.02, rtol=0.02)
    assert turns[0, 0, 0, 0].item() == pytest.approx(math.cos(40), abs=1e-5)


def test_heads_must_be_of_pairs_for_both_directions():
    with pytest.raises(ValueError, match=r'heads of width 6 .* must be a multiple of 4'):
        RotaryPositions2D(grid=3, head_width=6)
