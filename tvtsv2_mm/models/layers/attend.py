"""Attention from a few tokens to all, where nobody reads what the others would give."""

import torch.nn.functional as F
from torch import Tensor, nn

from .norm_linear import is_plain


def attend(queries: Tensor, tokens: Tensor, qkv: nn.Module, heads: int) -> Tensor:
    """Multi-head attention of some tokens to all of them.

    Args:
        queries: (B, Q, D), the tokens that are wanted.
        tokens: (B, N, D), all tokens.
        qkv: linear layer D -> 3 * D; a module that is not plain is called as it is.
        heads: number of heads.

    Returns:
        (B, Q, D), before the output projection.
    """
    width = tokens.shape[-1]
    if isinstance(qkv, nn.Linear) and is_plain(qkv, nn.Linear):
        weights, biases = (x.split([width, 2 * width]) for x in (qkv.weight, qkv.bias))
        query, key_value = (F.linear(x, weight, bias) for x, weight, bias in zip(
            (queries, tokens), weights, biases, strict=True))
    else:
        query, key_value = qkv(queries)[..., :width], qkv(tokens)[..., width:]
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2)
               for x in (query, *key_value.chunk(2, dim=-1)))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
