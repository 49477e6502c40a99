"""Attention divided over space and time (TVTSv2 section 3; one class token for the whole clip).

Names end in the axes of a tensor: B clips, T frames, P patches of a frame, G groups of a clip, M
members of a group (over space: G = T, M = P; over time: G = P, M = T), H heads, d width of a head,
R token rows (see TokenRows); Q and K are the 1 + M queries and keys of a group.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .attend import attend
from .norm_linear import plain_linear
from .token_rows import TokenRows

# Where the axes B, T, P of (B, T, P, ...) go for (B, G, M, ...).
_GROUPED = dict(space=(0, 1, 2), time=(0, 2, 1))
# The axis of the keys in a group's weights. Over time there are too few of them for a quick softmax
# over the columns.
_KEYS = dict(space=-1, time=-2)


class DividedAttention(nn.Module):
    """Multi-head attention in which patches attend to their own group and to the class token.

    The class query attends to all tokens of the clip. A patch query attends to the class token and

    - ``over='time'``: to the T tokens of its own patch position;
    - ``over='space'``: to the P patches of its own frame.

    Parameters are named as in the released checkpoints (``qkv``, ``proj``). The caller applies
    ``qkv`` together with the norm before it (norm_linear).

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

    def forward(self, qkv: Tensor, layout: TokenRows) -> Tensor:
        """Attend inside the groups.

        Args:
            qkv: (R, 3 * D), the queries, keys and values of all tokens.
            layout: of the R rows.

        Returns:
            (R, D).
        """
        qkv = qkv.unflatten(-1, (3, self.heads, -1))
        # CPU kernels of scaled_dot_product_attention are slow for groups as small as these, above
        # all their backward in bfloat16; GPUs' are not, and exported files want plain operations.
        if qkv.device.type == 'cpu' and not torch.compiler.is_exporting():
            out = _GroupedAttention.apply(qkv, layout, self.over)
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
        patches, class_tokens = layout.split(x)
        tokens = torch.cat([class_tokens[:, None], patches.flatten(1, 2)], dim=1)
        return self.proj(attend(class_tokens[:, None], tokens, self.qkv, self.heads).flatten(1))


def plain_attention(qkv_R3Hd: Tensor, layout: TokenRows, over: str) -> Tensor:
    """Attention by scaled_dot_product_attention, keys and values of class and group concatenated.

    Returns:
        (R, H, d).
    """
    patches_BTP3Hd, class_B3Hd = layout.split(qkv_R3Hd)
    heads, head_dim = qkv_R3Hd.shape[2:]

    q_B1Hd, kv_B2Hd = class_B3Hd.split([1, 2], dim=1)
    all_B2HNd = torch.cat(
        [kv_B2Hd[:, None], patches_BTP3Hd[..., 1:, :, :].flatten(1, 2)], dim=1).permute(
            0, 2, 3, 1, 4)
    keys_BHNd, values_BHNd = all_B2HNd.unbind(1)
    class_BH1d = F.scaled_dot_product_attention(
        q_B1Hd.transpose(1, 2), keys_BHNd, values_BHNd)

    grouped_3BGHMd = _members(patches_BTP3Hd, over)
    _, clips, groups, _, members, _ = grouped_3BGHMd.shape
    class_2BGH1d = kv_B2Hd.transpose(0, 1)[:, :, None, :, None].expand(
        -1, -1, groups, -1, -1, -1)
    keys_NHKd, values_NHKd = torch.cat([class_2BGH1d, grouped_3BGHMd[1:]], dim=4).flatten(1, 2)
    # Groups become the batch of one 4-D call: a 5-D call falls back to the slow kernel.
    out_BGHMd = F.scaled_dot_product_attention(
        grouped_3BGHMd[0].flatten(0, 1), keys_NHKd, values_NHKd).view(
            clips, groups, heads, members, head_dim)
    out_BGMHd = out_BGHMd.transpose(2, 3)
    out_BTPHd = out_BGMHd if over == 'space' else out_BGMHd.transpose(1, 2)
    return torch.cat([out_BTPHd.flatten(0, 2), class_BH1d.squeeze(2)])


class _GroupedAttention(torch.autograd.Function):
    """The same by matrix products, each group with the class token as its first member.

    The class token is query, key and value of every group. As a query it gets the scores of all
    tokens from the products that the groups need anyway; its softmax then goes over the groups, its
    own key counted in the first group alone, and its output is the sum of what the groups give. So
    nothing is read again for it, and queries, keys and values are copied once, into the order of
    the products, and kept in that order. Backward is written out: derived by autograd, each view
    of the rows would get a gradient of the size of all of them.
    """

    @staticmethod
    def forward(ctx: Any, qkv_R3Hd: Tensor, layout: TokenRows, over: str) -> Tensor:
        qkv_3BGHQd = _to_groups(qkv_R3Hd, layout, over)
        q, k, v = qkv_3BGHQd.flatten(1, 3)
        scores = _product_by_keys(q, k, over, q.shape[-1]**-0.5).unflatten(
            0, qkv_3BGHQd.shape[1:4])
        class_weights = _class_softmax(_as_QK(scores, over)[..., 0, :])
        weights = scores.softmax(dim=_KEYS[over])
        _as_QK(weights, over)[..., 0, :] = class_weights
        out_BGHQd = torch.bmm(_as_QK(weights.flatten(0, 2), over), v).view_as(qkv_3BGHQd[0])
        ctx.save_for_backward(qkv_3BGHQd, weights)
        ctx.layout, ctx.over = layout, over
        return _to_rows(out_BGHQd[None], layout, over).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RHd: Tensor) -> tuple[Tensor, None, None]:
        qkv_3BGHQd, weights = ctx.saved_tensors
        over, scale = ctx.over, qkv_3BGHQd.shape[-1]**-0.5
        q, k, v = qkv_3BGHQd.flatten(1, 3)
        grad_out = _to_groups(grad_RHd[:, None], ctx.layout, over).flatten(0, 3)
        grad_weights = _product_by_keys(grad_out, v, over).view_as(weights)
        class_grad = _class_softmax_backward(
            *(_as_QK(x, over)[..., 0, :] for x in (grad_weights, weights)))
        grad_scores = torch._softmax_backward_data(
            grad_weights, weights, _KEYS[over], weights.dtype)
        _as_QK(grad_scores, over)[..., 0, :] = class_grad
        grad_scores_QK = _as_QK(grad_scores.flatten(0, 2), over)
        weights_QK = _as_QK(weights.flatten(0, 2), over)
        grads_3BGHQd = torch.empty_like(qkv_3BGHQd)
        grad_q, grad_k, grad_v = grads_3BGHQd.flatten(1, 3)
        torch.baddbmm(grad_q, grad_scores_QK, k, beta=0, alpha=scale, out=grad_q)
        torch.baddbmm(grad_k, grad_scores_QK.mT, q, beta=0, alpha=scale, out=grad_k)
        torch.bmm(weights_QK.mT, grad_out, out=grad_v)
        return _to_rows(grads_3BGHQd, ctx.layout, over), None, None


def _product_by_keys(queries: Tensor, keys: Tensor, over: str, scale: float = 1.0) -> Tensor:
    """scale * queries @ keys.mT, laid out with the keys along the axis ``_KEYS``."""
    first, second = (queries, keys) if _KEYS[over] == -1 else (keys, queries)
    return torch.baddbmm(first.new_empty(1), first, second.mT, beta=0, alpha=scale)


def _as_QK(x: Tensor, over: str) -> Tensor:
    """The view of such a product with queries as rows and keys as columns."""
    return x if _KEYS[over] == -1 else x.mT


def _members(patches_BTPnHd: Tensor, over: str) -> Tensor:
    """The view (n, B, G, H, M, d)."""
    clip, group, member = _GROUPED[over]
    return patches_BTPnHd.permute(3, clip, group, 4, member, 5)


def _to_groups(rows_RnHd: Tensor, layout: TokenRows, over: str) -> Tensor:
    """(R, n, H, d) -> (n, B, G, H, 1 + M, d), the class token before the members of each group."""
    patches_BTPnHd, class_BnHd = layout.split(rows_RnHd)
    members_nBGHMd = _members(patches_BTPnHd, over)
    shape = list(members_nBGHMd.shape)
    shape[4] += 1
    grouped = rows_RnHd.new_empty(shape)
    grouped[..., 1:, :] = members_nBGHMd
    grouped[..., 0, :] = class_BnHd.transpose(0, 1)[:, :, None]
    return grouped


def _to_rows(grouped_nBGHQd: Tensor, layout: TokenRows, over: str) -> Tensor:
    """(n, B, G, H, 1 + M, d) -> (R, n, H, d); a clip's class token is the sum over its groups."""
    count, _, _, heads, _, head_dim = grouped_nBGHQd.shape
    rows = grouped_nBGHQd.new_empty(
        layout.clips * (layout.frames * layout.patches + 1), count, heads, head_dim)
    patches_BTPnHd, class_BnHd = layout.split(rows)
    _members(patches_BTPnHd, over).copy_(grouped_nBGHQd[..., 1:, :])
    class_BnHd.copy_(grouped_nBGHQd[..., 0, :].sum(dim=2).transpose(0, 1))
    return rows


def _class_softmax(scores_BGHK: Tensor) -> Tensor:
    """Softmax over all tokens of a clip; its own key is in every group and counts in the first."""
    scores = scores_BGHK.to(_at_least_float32(scores_BGHK), copy=True)
    scores[:, 1:, :, 0] = float('-inf')
    return scores.transpose(1, 2).flatten(2).softmax(dim=-1).view(
        *scores.transpose(1, 2).shape).transpose(1, 2)


def _class_softmax_backward(grad_BGHK: Tensor, weights_BGHK: Tensor) -> Tensor:
    """Gradient of the scores."""
    dtype = _at_least_float32(grad_BGHK)
    grad, weights = grad_BGHK.to(dtype), weights_BGHK.to(dtype)
    mean = (grad * weights).sum(dim=(1, 3), keepdim=True)
    return (grad - mean) * weights


def _at_least_float32(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
