"""How the tokens of a clip become its embedding."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from tvtsv2_mm.registry import MODELS

from .attend import attend
from .norm_linear import build_activation
from .token_rows import TokenRows


@MODELS.register_module()
class ClassTokenPooling(nn.Module):
    """A clip is its class token (CLIP, TVTSv2).

    Attributes:
        picks: whether the result is one of the rows, so that norm and projection may come before
            or after, and no other row is needed.
    """

    picks = True

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor, layout: TokenRows) -> Tensor:
        """(R, D) -> (B, D)."""
        return layout.split(x)[1]


class _Attention(nn.Module):
    """The weights of attention, and its output projection."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f'width ({width}) must be a multiple of pooling_heads ({heads})')
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Queries (B, Q, D) and tokens (B, N, D) -> (B, Q, D)."""
        return self.proj(attend(queries, tokens, self.qkv, self.heads))


@MODELS.register_module()
class AttentionPooling(nn.Module):
    """A clip is what a learnt query reads in all its tokens, of all frames (SigLIP, PE-core)::

        x = attn(probe, tokens)
        x = x + mlp(ln(x))

    Args:
        width: token width D.
        heads: attention heads.
        mlp_width: of the hidden layer.
        activation: as of the blocks.
        norm_eps: what is added to the variance in the layer norm.
    """

    picks = False

    def __init__(self, *, width: int, heads: int, mlp_width: int, activation: str,
                 norm_eps: float) -> None:
        super().__init__()
        self.activation = build_activation(activation)
        self.probe = nn.Parameter(width**-0.5 * torch.randn(1, 1, width))
        self.attn = _Attention(width=width, heads=heads)
        self.ln = nn.LayerNorm(width, norm_eps)
        self.mlp: Any = nn.ModuleDict(
            OrderedDict(c_fc=nn.Linear(width, mlp_width), c_proj=nn.Linear(mlp_width, width)))

    def forward(self, x: Tensor, layout: TokenRows) -> Tensor:
        """(R, D), behind the last norm -> (B, D)."""
        # No view: counters of FLOP stumble over one of a parameter.
        probe = self.probe.to(x.dtype).repeat(layout.clips, 1, 1)
        x = self.attn(probe, layout.by_clip(x)).squeeze(1)
        hidden = self.activation.scale * self.mlp.c_fc(self.ln(x))
        return x + self.mlp.c_proj(self.activation.function(hidden) / self.activation.scale)
