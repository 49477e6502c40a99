import pytest
import torch

from tvtsv2_mm.utils.attentive_pooling import AttentivePooling


@pytest.mark.parametrize(('width', 'heads'), [(16, 8), (12, 4), (6, 2), (5, 1)])
def test_one_query_weights_the_tokens(width, heads):
    torch.manual_seed(0)
    pooling = AttentivePooling(width)
    assert pooling.query.abs().sum() > 0
    torch.nn.init.normal_(pooling.attention.in_proj_bias)
    tokens = torch.randn(3, 7, width)
    normed = torch.nn.functional.layer_norm(tokens, (width, ))
    attention = pooling.attention
    q, k, v = (x @ weight.t() + bias for x, weight, bias in zip(
        (pooling.query[0], normed, normed), attention.in_proj_weight.chunk(3),
        attention.in_proj_bias.chunk(3), strict=True))
    pooled = []
    for own in range(heads):
        part = slice(own * width // heads, (own + 1) * width // heads)
        weights = (k[..., part] @ q[0, part] / (width // heads)**0.5).softmax(dim=1)
        pooled.append((weights[:, :, None] * v[..., part]).sum(dim=1))
    expected = attention.out_proj(torch.cat(pooled, dim=-1))
    torch.testing.assert_close(pooling(tokens), expected)
