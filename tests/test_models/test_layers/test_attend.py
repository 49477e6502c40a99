import pytest
import torch
from torch import Tensor, nn

from tests.helpers import assert_same_gradients
from tvtsv2_mm.models.layers import attend


class Adapted(nn.Linear):
    """What LoRA and quantised layers are to us: a module of another class."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize('kind', [nn.Linear, Adapted])
def test_a_part_of_full_attention(kind):
    torch.manual_seed(0)
    qkv, tokens = kind(12, 36).double(), torch.randn(2, 5, 12, dtype=torch.float64,
                                                     requires_grad=True)
    q, k, v = qkv(tokens).unflatten(-1, (3, 3, 4)).unbind(2)
    weights = (torch.einsum('bqhd,bkhd->bhqk', q, k) / 2).softmax(dim=-1)
    expected = torch.einsum('bhqk,bkhd->bqhd', weights, v).flatten(2)
    assert_same_gradients(
        attend(tokens[:, 3:], tokens, qkv, 3), expected[:, 3:], [tokens, *qkv.parameters()])
