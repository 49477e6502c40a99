"""One block of the video encoder: CLIP's block with time attention beside its space attention."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .divided_attention import DividedAttention


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the activation of OpenAI's CLIP."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {'quick_gelu': QuickGELU, 'gelu': nn.GELU}


def build_activation(name: str) -> nn.Module:
    """Build 'quick_gelu' (OpenAI-type models) or the exact 'gelu' (OpenCLIP-type models)."""
    if name not in ACTIVATIONS:
        raise ValueError(f'activation must be one of {sorted(ACTIVATIONS)}, not {name!r}')
    return ACTIVATIONS[name]()


class SpaceTimeBlock(nn.Module):
    """Divided space-time block (pre-norm)::

        time  = x + timeattn(ln_3(x))
        space = x + attn(ln_1(time))      # the residual is x, not time
        out   = space + mlp(ln_2(space))

    Args:
        width: token width D.
        heads: number of heads of both attentions.
        activation: 'quick_gelu' or 'gelu'.
        time_attention: False leaves the time branch out; then this is CLIP's own block.
        time_init: how the time branch starts at 0, see DividedAttention's ``zero_init``.
    """

    def __init__(self, *, width: int, heads: int, activation: str, time_attention: bool = True,
                 time_init: str = 'qkv') -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = DividedAttention(width=width, heads=heads, over='space')
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, 4 * width),
                act=build_activation(activation),
                c_proj=nn.Linear(4 * width, width)))
        if time_attention:
            self.ln_3 = nn.LayerNorm(width)
            self.timeattn = DividedAttention(
                width=width, heads=heads, over='time', zero_init=time_init)
        self.time_attention = time_attention

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """(B, 1 + T * P, D) -> (B, 1 + T * P, D), with T = ``num_frames``."""
        time = x + self.timeattn(self.ln_3(x), num_frames) if self.time_attention else x
        space = x + self.attn(self.ln_1(time), num_frames)
        return space + self.mlp(self.ln_2(space))
