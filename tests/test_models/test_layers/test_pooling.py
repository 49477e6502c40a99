import pytest
import torch
from torch import nn

from tests.clip_models import randomize
from tvtsv2_mm.models.layers import AttentionPooling, ClassTokenPooling, TokenRows

OPTIONS = dict(width=12, heads=3, mlp_width=20, activation='gelu', norm_eps=1e-6)


def test_the_class_token_of_each_clip():
    layout = TokenRows(2, 3, 4)
    x = torch.randn(layout.rows, 12)
    assert torch.equal(ClassTokenPooling(**OPTIONS)(x, layout), x[-2:])


@pytest.mark.parametrize('class_tokens', [1, 0])
def test_attention_reads_all_tokens_of_its_own_clip(class_tokens):
    """torch's attention, one clip after the other."""
    torch.manual_seed(0)
    layout = TokenRows(2, 3, 4, class_tokens)
    pooling = AttentionPooling(**OPTIONS)
    randomize(pooling)
    attention = nn.MultiheadAttention(12, 3, batch_first=True)
    attention.load_state_dict({
        **{f'in_proj_{key}': value for key, value in pooling.attn.qkv.state_dict().items()},
        **{f'out_proj.{key}': value for key, value in pooling.attn.proj.state_dict().items()}})
    x = torch.randn(layout.rows, 12)
    patches, class_rows = layout.split(x)
    for clip, found in enumerate(pooling(x, layout)):
        tokens = torch.cat([patches[clip].flatten(0, 1), class_rows[clip:clip + class_tokens]])
        read = attention(pooling.probe, tokens[None], tokens[None])[0]
        expected = read + pooling.mlp.c_proj(
            nn.functional.gelu(pooling.mlp.c_fc(pooling.ln(read))))
        torch.testing.assert_close(found, expected[0, 0], atol=1e-5, rtol=1e-5)


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match=r'width \(12\) must be a multiple of pooling_heads \(5\)'):
        AttentionPooling(**OPTIONS | dict(heads=5))
