"""Fit a checkpoint's position tables to another resolution and another number of frames."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SPATIAL = 'backbone.positional_embedding'
TEMPORAL = 'backbone.temporal_embedding'


def resize_spatial(table: Tensor, rows: int, antialias: bool | None = None) -> Tensor:
    """Resize the positions of a square grid of patches, bicubically; a class token's stays.

    Args:
        table: (C + g * g, D); C is 1 with a class token, which comes first, and 0 without.
        rows: C + G * G.
        antialias: torch's option, which takes another cubic where the grid grows; None smooths
            where it shrinks.

    Returns:
        (C + G * G, D).

    Raises:
        ValueError: one of the grids is not square, or one has a class token and one not.
    """
    (old_extra, old), (extra, new) = _grid(len(table)), _grid(rows)
    if old_extra != extra:
        raise ValueError(f'of {len(table)} and {rows} positions, the first of one are a class '
                         "token's and those of the other are a square grid alone")
    grid = table[extra:].float().view(1, old, old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(
        grid, size=(new, new), mode='bicubic', align_corners=False,
        antialias=new < old if antialias is None else antialias)
    return torch.cat([table[:extra], grid.permute(0, 2, 3, 1).flatten(0, 2).to(table.dtype)])


def _grid(rows: int) -> tuple[int, int]:
    """How many class tokens are among the positions, and the side of the grid of the others."""
    for extra in (0, 1):  # no number of rows is both
        side = math.isqrt(rows - extra)
        if side and side * side == rows - extra:
            return extra, side
    raise ValueError(f'{rows} positions are no square grid, with a class token or without')


def resize_temporal(table: Tensor, rows: int) -> Tensor:
    """Resize the positions of frames linearly: (T, D) -> (rows, D).

    A clip of twice the frames is taken to show the same time, twice as densely: the middles of its
    intervals are looked up among the middles of the old ones.
    """
    line = F.interpolate(
        table.float().t()[None], size=rows, mode='linear', align_corners=False)
    return line[0].t().to(table.dtype)
