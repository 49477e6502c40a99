"""Pooling by one learned query: of the attentive probe, and of a recognizer's head."""

import torch
from torch import Tensor, nn


class AttentivePooling(nn.Module):
    """One learned query attends to a video's tokens (as in V-JEPA, arXiv 2404.08471, without MLP).

    Args:
        width: E of the tokens; it has 8 heads where they divide it, else 4, 2 or 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        heads = max(heads for heads in (8, 4, 2, 1) if width % heads == 0)
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        nn.init.trunc_normal_(self.query, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, E) -> (B, E)."""
        tokens = self.norm(tokens)
        query = self.query.expand(len(tokens), -1, -1)
        return self.attention(query, tokens, tokens, need_weights=False)[0][:, 0]
