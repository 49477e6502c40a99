"""Attention divided over space and time, as matrix products that are quick on a CPU.

Names of axes as in divided_attention; Q and K are the C + M queries and keys of a group, of which
the class token is the first where there is one (C = 1, else 0).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tvtsv2_mm.models.layers.token_rows import TokenRows, members

# The axis of the keys in a group's weights. Over time there are too few of them for a quick softmax
# over the columns.
_KEYS = dict(space=-1, time=-2)


class GroupedAttention(torch.autograd.Function):
    """plain_attention by matrix products, each group with the class token as its first member.

    The class token is query, key and value of every group. As a query it gets the scores of all
    tokens from the products that the groups need anyway; its softmax then goes over the groups, its
    own key counted in the first group alone, and its output is the sum of what the groups give. So
    nothing is read again for it, and queries, keys and values are copied once, into the order of
    the products, and kept in that order. Backward is written out: derived by autograd, each view
    of the rows would get a gradient of the size of all of them.
    """

    @staticmethod
    def forward(ctx: Any, qkv_R3Hd: Tensor, layout: TokenRows, over: str) -> Tensor:
        """(R, 3, H, d) -> (R, H, d)."""
        qkv_3BGHQd = _to_groups(qkv_R3Hd, layout, over)
        q, k, v = qkv_3BGHQd.flatten(1, 3)
        scores = _product_by_keys(q, k, over, q.shape[-1]**-0.5).unflatten(
            0, qkv_3BGHQd.shape[1:4])
        weights = scores.softmax(dim=_KEYS[over])
        if layout.class_tokens:
            _as_QK(weights, over)[..., 0, :] = _class_softmax(_as_QK(scores, over)[..., 0, :])
        out_BGHQd = torch.bmm(_as_QK(weights.flatten(0, 2), over), v).view_as(qkv_3BGHQd[0])
        ctx.save_for_backward(qkv_3BGHQd, weights)
        ctx.layout, ctx.over = layout, over
        return _to_rows(out_BGHQd[None], layout, over).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RHd: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of the queries, keys and values."""
        qkv_3BGHQd, weights = ctx.saved_tensors
        over, scale = ctx.over, qkv_3BGHQd.shape[-1]**-0.5
        q, k, v = qkv_3BGHQd.flatten(1, 3)
        grad_out = _to_groups(grad_RHd[:, None], ctx.layout, over).flatten(0, 3)
        grad_weights = _product_by_keys(grad_out, v, over).view_as(weights)
        grad_scores = torch._softmax_backward_data(
            grad_weights, weights, _KEYS[over], weights.dtype)
        if ctx.layout.class_tokens:
            _as_QK(grad_scores, over)[..., 0, :] = _class_softmax_backward(
                *(_as_QK(x, over)[..., 0, :] for x in (grad_weights, weights)))
        grad_scores_QK = _as_QK(grad_scores.flatten(0, 2), over)
        weights_QK = _as_QK(weights.flatten(0, 2), over)
        grads_3BGHQd = torch.empty_like(qkv_3BGHQd)
        grad_q, grad_k, grad_v = grads_3BGHQd.flatten(1, 3)
        # Not by out=: torch 2.11's Dynamo compares its size with the batch's, and fixes that.
        grad_q.baddbmm_(grad_scores_QK, k, beta=0, alpha=scale)
        grad_k.baddbmm_(grad_scores_QK.mT, q, beta=0, alpha=scale)
        grad_v.baddbmm_(weights_QK.mT, grad_out, beta=0)
        return _to_rows(grads_3BGHQd, ctx.layout, over), None, None


def _product_by_keys(queries: Tensor, keys: Tensor, over: str, scale: float = 1.0) -> Tensor:
    """scale * queries @ keys.mT, laid out with the keys along the axis ``_KEYS``."""
    first, second = (queries, keys) if _KEYS[over] == -1 else (keys, queries)
    return torch.baddbmm(first.new_empty(1), first, second.mT, beta=0, alpha=scale)


def _as_QK(x: Tensor, over: str) -> Tensor:
    """The view of such a product with queries as rows and keys as columns."""
    return x if _KEYS[over] == -1 else x.mT


def _to_groups(rows_RnHd: Tensor, layout: TokenRows, over: str) -> Tensor:
    """(R, n, H, d) -> (n, B, G, H, C + M, d), the class token before the members of each group."""
    patches_BTPnHd, class_BnHd = layout.split(rows_RnHd)
    members_nBGHMd = members(patches_BTPnHd, over)
    shape = list(members_nBGHMd.shape)
    shape[4] += layout.class_tokens
    grouped = rows_RnHd.new_empty(shape)
    grouped[..., layout.class_tokens:, :] = members_nBGHMd
    if layout.class_tokens:
        grouped[..., 0, :] = class_BnHd.transpose(0, 1)[:, :, None]
    return grouped


def _to_rows(grouped_nBGHQd: Tensor, layout: TokenRows, over: str) -> Tensor:
    """(n, B, G, H, C + M, d) -> (R, n, H, d); a clip's class token is the sum over its groups."""
    count, _, _, heads, _, head_dim = grouped_nBGHQd.shape
    # Not a property of the layout: Dynamo of torch 2.7 loses sizes in it.
    rows = grouped_nBGHQd.new_empty(
        layout.clips * (layout.frames * layout.patches + layout.class_tokens), count, heads,
        head_dim)
    patches_BTPnHd, class_BnHd = layout.split(rows)
    members(patches_BTPnHd, over).copy_(grouped_nBGHQd[..., layout.class_tokens:, :])
    if layout.class_tokens:
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
