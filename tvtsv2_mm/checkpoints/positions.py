"""Fit a checkpoint's position tables to another resolution and another number of frames."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SPATIAL = 'backbone.positional_embedding'
TEMPORAL = 'backbone.temporal_embedding'


def resize_spatial(table: Tensor, rows: int, antialias: bool | None = None) -> Tensor:
    """Resize the positions of a square grid of patches, bicubically; the class token's stays.

    Args:
        table: (1 + g * g, D).
        rows: 1 + G * G.
        antialias: torch's option, which takes another cubic where the grid grows; None smooths
            where it shrinks.

    Returns:
        (1 + G * G, D).

    Raises:
        ValueError: one of the grids is not square.
    """
    old, new = math.isqrt(len(table) - 1), math.isqrt(rows - 1)
    for side, count in ((old, len(table)), (new, rows)):
        if side * side != count - 1:
            raise ValueError(f'{count} positions are not a class token and a square grid')
    grid = table[1:].float().view(1, old, old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(
        grid, size=(new, new), mode='bicubic', align_corners=False,
        antialias=new < old if antialias is None else antialias)
    return torch.cat([table[:1], grid.permute(0, 2, 3, 1).flatten(0, 2).to(table.dtype)])


def resize_temporal(table: Tensor, rows: int) -> Tensor:
    """Resize the positions of frames linearly: (T, D) -> (rows, D).

    A clip of twice the frames is taken to show the same time, twice as densely: the middles of its
    intervals are looked up among the middles of the old ones.
    """
    line = F.interpolate(
        table.float().t()[None], size=rows, mode='linear', align_corners=False)
    return line[0].t().to(table.dtype)
