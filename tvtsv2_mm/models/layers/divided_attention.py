"""Attention divided over space and time (TVTSv2 section 3; one class token for the clip, or none).

Names end in the axes of a tensor: B clips, T frames, P patches of a frame, G groups of a clip, M
members of a group (over space: G = T, M = P; over time: G = P, M = T), H heads, d width of a head,
R token rows (see TokenRows); K are the keys of a group: its M members, and before them the class
token where there is one.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .attend import attend
from .cpu.dispatch import is_for_cpu
from .cpu.grouped_attention import GroupedAttention
from .norm_linear import plain_linear
from .rotary_positions import turn
from .token_rows import TokenRows, members


class DividedAttention(nn.Module):
    """Multi-head attention in which patches attend to their own group and to the class token.

    The class query attends to all tokens of the clip. A patch query attends to the class token and

    - ``over='time'``: to the T tokens of its own patch position;
    - ``over='space'``: to the P patches of its own frame;
    - ``over='clip'``: to all patches of the clip, so that nothing is divided (ViCLIP).

    In a model without a class token (SigLIP) patches attend to their group alone, so that frames
    learn of each other by time attention, and where the clip's tokens are pooled.

    Parameters are named as in the released checkpoints (``qkv``, ``proj``). The caller applies
    ``qkv`` together with the norm before it (norm_linear).

    Args:
        width: token width D.
        heads: number of heads; D must be a multiple of it.
        over: what is attended over: 'time', 'space' or 'clip'.
        zero_init: 'qkv' or 'proj' starts as a branch whose output is exactly 0, so that a CLIP
            stays what it is when time attention is added. 'qkv' is the release's way: qkv 0, output
            weight 1. 'proj' has a random qkv and the output weight 0.
    """

    def __init__(self, *, width: int, heads: int, over: str,
                 zero_init: str | None = None) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f'width ({width}) must be a multiple of heads ({heads}): set '
                             'backbone.heads to what the video encoder was trained with (--heads '
                             'of tools/convert_checkpoint.py)')
        if zero_init not in (None, 'qkv', 'proj'):
            raise ValueError(f"zero_init must be None, 'qkv' or 'proj', not {zero_init!r}")
        if over not in ('time', 'space', 'clip'):
            raise ValueError(f"over must be 'time', 'space' or 'clip', not {over!r}")
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

    def forward(self, qkv: Tensor, layout: TokenRows, turns: Tensor | None = None) -> Tensor:
        """Attend inside the groups.

        Args:
            qkv: (R, 3 * D), the queries, keys and values of all tokens.
            layout: of the R rows.
            turns: rotary positions of the patches, see RotaryPositions2D.

        Returns:
            (R, D).
        """
        qkv = qkv.unflatten(-1, (3, self.heads, -1))
        if turns is not None:
            qkv = turn(qkv, turns, layout)
        # CPU kernels of scaled_dot_product_attention are slow for groups as small as these, above
        # all their backward in bfloat16; GPUs' are not.
        if self.over == 'clip':
            out = joint_attention(qkv, layout)
        elif is_for_cpu(qkv):
            out = GroupedAttention.apply(qkv, layout, self.over)
        else:
            out = plain_attention(qkv, layout, self.over)
        return plain_linear(out.flatten(1), self.proj)

    def forward_class(self, x: Tensor, layout: TokenRows) -> Tensor:
        """Attend from the class tokens alone, which makes no difference whatever the groups.

        Args:
            x: (R, D), normalised tokens, before ``qkv``.
            layout: of the R rows.

        Returns:
            (B, D).
        """
        queries = layout.split(x)[1][:, None]
        return self.proj(attend(queries, layout.by_clip(x), self.qkv, self.heads).flatten(1))


def joint_attention(qkv_R3Hd: Tensor, layout: TokenRows) -> Tensor:
    """Attention of all tokens of a clip to all of them.

    Returns:
        (R, H, d).
    """
    q_BHNd, keys_BHNd, values_BHNd = layout.by_clip(qkv_R3Hd).permute(2, 0, 3, 1, 4).unbind()
    out_BNHd = F.scaled_dot_product_attention(q_BHNd, keys_BHNd, values_BHNd).transpose(1, 2)
    patches_BNHd, class_BCHd = (
        out_BNHd[:, layout.class_tokens:], out_BNHd[:, :layout.class_tokens])
    return torch.cat([patches_BNHd.flatten(0, 1), class_BCHd.flatten(0, 1)])


def plain_attention(qkv_R3Hd: Tensor, layout: TokenRows, over: str) -> Tensor:
    """Attention by scaled_dot_product_attention, keys and values of class and group concatenated.

    Returns:
        (R, H, d).
    """
    if not layout.class_tokens:
        q_NHMd, keys_NHMd, values_NHMd = members(
            layout.split(qkv_R3Hd)[0], over).flatten(1, 2).unbind()
        return _to_rows(_attend_in_groups(q_NHMd, keys_NHMd, values_NHMd, layout), over)
    operands = _operands if torch.jit.is_tracing() else _Operands.apply
    q_BH1d, keys_BHNd, values_BHNd, q_NHMd, keys_NHKd, values_NHKd = operands(
        qkv_R3Hd, layout, over)
    class_BH1d = F.scaled_dot_product_attention(q_BH1d, keys_BHNd, values_BHNd)
    out_BGHMd = _attend_in_groups(q_NHMd, keys_NHKd, values_NHKd, layout)
    return torch.cat([_to_rows(out_BGHMd, over), class_BH1d.squeeze(2)])


def _attend_in_groups(q_NHMd: Tensor, keys_NHKd: Tensor, values_NHKd: Tensor,
                      layout: TokenRows) -> Tensor:
    """(B, G, H, M, d). Groups are the batch (N = B * G): a 5-D call falls to the slow kernel."""
    return _attend_in_calls(q_NHMd, keys_NHKd, values_NHKd).unflatten(0, (layout.clips, -1))


def _to_rows(out_BGHMd: Tensor, over: str) -> Tensor:
    """(B, G, H, M, d) -> (B * T * P, H, d)."""
    out_BGMHd = out_BGHMd.transpose(2, 3)
    out_BTPHd = out_BGMHd if over == 'space' else out_BGMHd.transpose(1, 2)
    return out_BTPHd.flatten(0, 2)


def _attend_in_calls(q_NHMd: Tensor, keys_NHKd: Tensor, values_NHKd: Tensor) -> Tensor:
    """scaled_dot_product_attention, in several calls where the groups are too many for one."""
    most = _most_groups(q_NHMd)
    if most is None or q_NHMd.shape[0] <= most:
        return F.scaled_dot_product_attention(q_NHMd, keys_NHKd, values_NHKd)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in zip(
        *(x.split(most) for x in (q_NHMd, keys_NHKd, values_NHKd)), strict=True)])


def _most_groups(q_NHMd: Tensor) -> int | None:
    """How many groups the kernels of GPUs take at once; None for all, on CPUs and in traces.

    Groups are an axis of the grid (pytorch #146704). The backward of FlashAttention finds a group
    in a buffer by 32 bits (flash-attention #2260); there queries are padded to 128, heads to 64
    channels at most. With groups over time, B/16 without a mask is beyond that at 112 clips.
    """
    if q_NHMd.device.type == 'cpu' or torch.jit.is_tracing():
        return None
    heads, queries, head_dim = q_NHMd.shape[1:]
    padded = heads * -(-queries // 128) * 128 * -(-head_dim // 64) * 64
    return min(2**16 - 1, 2**31 // padded)


def _operands(qkv_R3Hd: Tensor, layout: TokenRows, over: str) -> tuple[Tensor, ...]:
    """(R, 3, H, d) -> three of (B, H, ...) and three of (N, H, ...)."""
    patches_BTP3Hd, class_B3Hd = layout.split(qkv_R3Hd)
    q_B1Hd, kv_B2Hd = class_B3Hd.split([1, 2], dim=1)
    all_BN2Hd = torch.cat(
        [kv_B2Hd[:, None], patches_BTP3Hd[..., 1:, :, :].flatten(1, 2)], dim=1)
    grouped_3BGHMd = members(patches_BTP3Hd, over)
    class_2BGH1d = kv_B2Hd.transpose(0, 1)[:, :, None, :, None].expand(
        -1, -1, grouped_3BGHMd.shape[2], -1, -1, -1)
    grouped_2NHKd = torch.cat([class_2BGH1d, grouped_3BGHMd[1:]], dim=4).flatten(1, 2)
    return (q_B1Hd.transpose(1, 2), *all_BN2Hd.permute(2, 0, 3, 1, 4),
            grouped_3BGHMd[0].flatten(0, 1), *grouped_2NHKd)


class _Operands(torch.autograd.Function):
    """Queries, keys and values of the class tokens, and of the groups (N = B * G).

    Backward is written out: derived by autograd, each of them, and each view on the way to it,
    would get a gradient of the size of all rows.
    """

    @staticmethod
    def forward(ctx: Any, qkv_R3Hd: Tensor, layout: TokenRows, over: str) -> tuple[Tensor, ...]:
        """(R, 3, H, d) -> three of (B, H, ...) and three of (N, H, ...)."""
        ctx.layout, ctx.over = layout, over
        return _operands(qkv_R3Hd, layout, over)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, q_BH1d: Tensor, keys_BHNd: Tensor, values_BHNd: Tensor, q_NHMd: Tensor,
                 keys_NHKd: Tensor, values_NHKd: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of the rows, from those of what forward returned."""
        layout = ctx.layout
        heads, size, head_dim = q_NHMd.shape[1:]
        groups = layout.frames * layout.patches // size
        rows_R3Hd = q_NHMd.new_empty(
            layout.clips * (groups * size + 1), 3, heads, head_dim)
        patches_BTP3Hd, class_B3Hd = layout.split(rows_R3Hd)
        grouped_3BGHMd = members(patches_BTP3Hd, ctx.over)
        grouped_3BGHMd[0] = q_NHMd.unflatten(0, (-1, groups))
        class_B3Hd[:, 0] = q_BH1d.squeeze(2)
        for i, (of_class, of_groups) in enumerate(
                ((keys_BHNd, keys_NHKd), (values_BHNd, values_NHKd)), start=1):
            of_groups_BGHKd = of_groups.unflatten(0, (-1, groups))
            grouped_3BGHMd[i] = of_groups_BGHKd[..., 1:, :]
            patches_BTP3Hd[..., i, :, :] += of_class.transpose(1, 2)[:, 1:].unflatten(
                1, (layout.frames, layout.patches))
            class_B3Hd[:, i] = of_groups_BGHKd[..., 0, :].sum(dim=1) + of_class[:, :, 0]
        return rows_R3Hd, None, None
