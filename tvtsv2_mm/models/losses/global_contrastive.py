"""Symmetric contrastive loss over the global batch, exact on any number of ranks."""

import torch
from mmengine.dist import all_gather, all_reduce, get_world_size
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def global_contrastive_loss(video: Tensor,
                            text: Tensor,
                            temperature: float,
                            gradient: str = 'exact') -> Tensor:
    """CE(video -> text) + CE(text -> video), each a mean over the N = W * b pairs of all W ranks.

    Every rank computes only its own b rows of both similarity matrices: O(b * N) work and memory.
    What it needs of the other ranks' rows for its own gradient is one number a row, because the
    probability of pair (i, j) under the other direction is exp(s_ij - lse_j): so only embeddings
    and log-sum-exps are exchanged, and the backward communicates nothing.

    Args:
        video: (b, E) l2-normalised embeddings of this rank; every rank has the same b.
        text: (b, E) likewise.
        temperature: divides the cosine similarities.
        gradient: 'exact': after DDP's mean over ranks, the gradient is the one that a single rank
            gets on the joint batch. 'release': 1 / W of it, as in the authors' code, with which
            the published models were trained.

    Returns:
        The loss of the joint batch, a scalar, the same on every rank.
    """
    if gradient not in ('exact', 'release'):
        raise ValueError(f"gradient must be 'exact' or 'release', not {gradient!r}")
    with torch.autocast(video.device.type, enabled=False):
        return _GlobalContrastive.apply(video.float(), text.float(), temperature, gradient)


class _GlobalContrastive(torch.autograd.Function):

    @staticmethod
    def forward(ctx: FunctionCtx, video: Tensor, text: Tensor, temperature: float,
                gradient: str) -> Tensor:
        all_video, all_text = _gather(video), _gather(text)
        video_rows = video @ all_text.t() / temperature  # (b, N)
        text_rows = text @ all_video.t() / temperature
        video_lse, text_lse = video_rows.logsumexp(dim=1), text_rows.logsumexp(dim=1)
        positive = (video * text).sum(dim=1) / temperature
        loss = (video_lse + text_lse - 2 * positive).mean()
        all_reduce(loss, op='mean')
        ctx.save_for_backward(video, text, all_video, all_text, video_lse, text_lse,
                              _gather(video_lse), _gather(text_lse))
        ctx.temperature = temperature
        world_size = get_world_size()
        pairs = len(video) * world_size
        # DDP will divide by the world size: 'exact' multiplies by it first.
        ctx.scale = (world_size if gradient == 'exact' else 1) / (pairs * temperature)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (video, text, all_video, all_text, video_lse, text_lse, all_video_lse,
         all_text_lse) = ctx.saved_tensors
        scale = grad * ctx.scale

        def one_side(own: Tensor, others: Tensor, own_lse: Tensor, others_lse: Tensor,
                     partner: Tensor) -> Tensor:
            rows = own @ others.t() / ctx.temperature
            weights = (rows - own_lse[:, None]).exp() + (rows - others_lse[None]).exp()
            return scale * (weights @ others - 2 * partner)

        return (one_side(video, all_text, video_lse, all_text_lse, text),
                one_side(text, all_video, text_lse, all_video_lse, video), None, None)


def _gather(x: Tensor) -> Tensor:
    return torch.cat(all_gather(x.contiguous()))
