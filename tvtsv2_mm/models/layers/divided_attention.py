"""Attention divided over space and time (TVTSv2 section 3; one class token for the whole clip)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DividedAttention(nn.Module):
    """Multi-head attention in which patches attend to their own group and to the class token.

    The class query attends to all tokens of the clip. A patch query attends to the class token and

    - ``over='time'``: to the T tokens of its own patch position;
    - ``over='space'``: to the P patches of its own frame.

    Parameters are named as in the released checkpoints (``qkv``, ``proj``).

    Args:
        width: token width D.
        heads: number of heads; D must be a multiple of it.
        over: the axis that is attended over, 'time' or 'space'.
        zero_init: 'qkv' or 'proj' starts as a branch whose output is exactly 0, so that a CLIP
            stays what it is when time attention is added. 'qkv' is the release's way: qkv 0, output
            weight 1. 'proj' has a random qkv and the output weight 0.
    """

    def __init__(self, *, width: int, heads: int, over: str,
                 zero_init: str | None = None) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f'width ({width}) must be a multiple of heads ({heads})')
        if zero_init not in (None, 'qkv', 'proj'):
            raise ValueError(f"zero_init must be None, 'qkv' or 'proj', not {zero_init!r}")
        if over not in ('time', 'space'):
            raise ValueError(f"over must be 'time' or 'space', not {over!r}")
        self.heads = heads
        self.over = over
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.proj.bias)
        nn.init.normal_(self.qkv.weight, std=width**-0.5)
        nn.init.normal_(self.proj.weight, std=width**-0.5)
        if zero_init == 'qkv':
            nn.init.zeros_(self.qkv.weight)
            nn.init.ones_(self.proj.weight)
        elif zero_init == 'proj':
            nn.init.zeros_(self.proj.weight)

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """Attend inside the groups.

        Args:
            x: (B, 1 + T * P, D), the class token first, then the patches frame by frame.
            num_frames: T.

        Returns:
            (B, 1 + T * P, D).
        """
        batch, length, width = x.shape
        heads, frames = self.heads, num_frames
        head_dim = width // heads
        qkv = self.qkv(x).view(batch, length, 3, heads, head_dim)

        # (3, B, H, 1 + T * P, d): the class query reads every token.
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        class_out = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        class_out = class_out.transpose(1, 2).reshape(batch, 1, width)

        # Groups become the batch of one 4-D call: a 5-D call falls back to the slow kernel.
        patches = qkv[:, 1:].view(batch, frames, -1, 3, heads, head_dim)
        if self.over == 'space':
            grouped = patches.permute(3, 0, 1, 4, 2, 5)  # (3, B, T, H, P, d)
        else:
            grouped = patches.permute(3, 0, 2, 4, 1, 5)  # (3, B, P, H, T, d)
        groups, members = grouped.shape[2], grouped.shape[4]
        class_kv = qkv[:, :1, 1:].permute(2, 0, 3, 1, 4).unsqueeze(2)  # (2, B, 1, H, 1, d)
        keys_values = torch.cat(
            [class_kv.expand(-1, -1, groups, -1, -1, -1), grouped[1:]], dim=4
        ).flatten(1, 2)
        patch_out = F.scaled_dot_product_attention(
            grouped[0].flatten(0, 1), keys_values[0], keys_values[1])
        patch_out = patch_out.view(batch, groups, heads, members, head_dim)
        if self.over == 'space':
            patch_out = patch_out.permute(0, 1, 3, 2, 4)
        else:
            patch_out = patch_out.permute(0, 3, 1, 2, 4)
        patch_out = patch_out.reshape(batch, length - 1, width)
        return self.proj(torch.cat([class_out, patch_out], dim=1))
