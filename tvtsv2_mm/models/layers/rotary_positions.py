"""Positions by turning queries and keys (RoPE, Su et al., arXiv 2104.09864), in two dimensions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tvtsv2_mm.registry import MODELS

from .token_rows import TokenRows


@MODELS.register_module()
class RotaryPositions2D(nn.Module):
    """Rotary positions of a frame's patches, as in PE-core (Bolya et al., arXiv 2504.13181).

    Channels 2i and 2i + 1 of a head are turned by an angle: in the first half of the head by the
    patch's column, in the second by its row, times 10000 ** (-4i / d) with i counted in the half.
    Columns and rows count from 1, at every resolution (timm stretches them to the grid of the
    training): a class token, which is not turned, is at 0.

    Args:
        grid: patches of a frame's side.
        head_width: width d of an attention head, a multiple of 4.
    """

    base = 10000.0

    def __init__(self, *, grid: int, head_width: int) -> None:
        super().__init__()
        if head_width % 4:
            raise ValueError(f'heads of width {head_width} cannot be turned in two dimensions: '
                             'width / heads must be a multiple of 4')
        self.grid = grid
        self.head_width = head_width

    def forward(self, patches: Tensor) -> Tensor:
        """Cosines and sines of patches.

        Computed in each forward, not kept: a buffer that no checkpoint has would be lost where a
        model is built without values.

        Args:
            patches: (..., P) indices in the grid.

        Returns:
            (2, ..., P, d / 2), in float32.
        """
        count = self.head_width // 4
        turns = self.base**(-torch.arange(count, device=patches.device) / count)
        places = torch.stack([patches % self.grid, patches // self.grid], dim=-1) + 1
        angles = (places[..., None] * turns).flatten(-2)
        return torch.stack([angles.cos(), angles.sin()])


def turn(qkv_R3Hd: Tensor, turns: Tensor, layout: TokenRows) -> Tensor:
    """Turn the queries and keys of patches; values and class tokens stay.

    Args:
        qkv_R3Hd: (R, 3, H, d).
        turns: what RotaryPositions2D gave for (1, P) or (B, P) patches.
        layout: of the R rows.
    """
    apply = _turned if torch.jit.is_tracing() else _Turn.apply
    return apply(qkv_R3Hd, turns, layout)


def _turned(qkv_R3Hd: Tensor, turns: Tensor, layout: TokenRows) -> Tensor:
    out_R3Hd = qkv_R3Hd.clone()
    cos, sin = turns[:, :, None, :, None, None]  # (B or 1, 1, P, 1, 1, d / 2)
    first, second = layout.split(qkv_R3Hd)[0][..., :2, :, :].unflatten(-1, (-1, 2)).unbind(-1)
    layout.split(out_R3Hd)[0][..., :2, :, :] = torch.stack(
        [first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2)
    return out_R3Hd


class _Turn(torch.autograd.Function):
    """Backward is the turn back: nothing but the angles is kept, and no view gets a gradient."""

    @staticmethod
    def forward(ctx: Any, qkv_R3Hd: Tensor, turns: Tensor, layout: TokenRows) -> Tensor:
        ctx.save_for_backward(turns)
        ctx.layout = layout
        return _turned(qkv_R3Hd, turns, layout)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_R3Hd: Tensor) -> tuple[Tensor, None, None]:
        turns, = ctx.saved_tensors
        back = torch.stack([turns[0], -turns[1]])
        return _turned(grad_R3Hd, back, ctx.layout), None, None
