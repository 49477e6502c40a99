"""Symmetric contrastive loss over the global batch, exact on any number of ranks."""

from typing import Any

import torch
from mmengine.dist import get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable

from .gathering import gather_rows


def global_contrastive_loss(video: Tensor,
                            text: Tensor,
                            temperature: float,
                            gradient: str = 'exact',
                            chunk_size: int = 4096) -> Tensor:
    """CE(video -> text) + CE(text -> video), each a mean over the N = W * b pairs of all W ranks.

    Every rank computes only its own b rows of both similarity matrices, ``chunk_size`` columns at
    a time, and computes them again in the backward: O(b * N) work, O(b * chunk_size) memory beside
    the (N, E) embeddings. What it needs of the other ranks' rows for its own gradient is one
    number a row, because the probability of pair (i, j) under the other direction is
    exp(s_ij - lse_j): so only embeddings and log-sum-exps are exchanged, and the backward
    communicates nothing.

    Args:
        video: (b, E) l2-normalised embeddings of this rank; every rank has the same b.
        text: (b, E) likewise.
        temperature: divides the cosine similarities.
        gradient: 'exact': after DDP's mean over ranks, the gradient is the one that a single rank
            gets on the joint batch. 'release': 1 / W of it, as in the authors' code, with which
            the published models were trained.
        chunk_size: columns of the similarities computed at a time. It changes memory and
            rounding, not the loss; N or more computes all at once.

    Returns:
        The loss of the joint batch, a float32 scalar, the same on every rank.

    Raises:
        ValueError: ``gradient`` is unknown or ``chunk_size`` is below 1.
    """
    if gradient not in ('exact', 'release'):
        raise ValueError(f"gradient must be 'exact' or 'release', not {gradient!r}")
    if chunk_size < 1:
        raise ValueError(f'chunk_size must be at least 1, not {chunk_size!r}')
    with torch.autocast(video.device.type, enabled=False):
        return _GlobalContrastive.apply(video.float(), text.float(), temperature, gradient,
                                        chunk_size)


class _GlobalContrastive(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, video: Tensor, text: Tensor, temperature: float, gradient: str,
                chunk_size: int) -> Tensor:
        all_video, all_text = gather_rows(video, text)
        video_lse = _log_sum_exp(video / temperature, all_text, chunk_size)
        text_lse = _log_sum_exp(text / temperature, all_video, chunk_size)
        positive = (video * text).sum(dim=1) / temperature
        all_video_lse, all_text_lse, all_positive = gather_rows(video_lse, text_lse, positive)
        loss = (all_video_lse + all_text_lse - 2 * all_positive).mean()
        ctx.save_for_backward(video, text, all_video, all_text, video_lse, text_lse,
                              all_video_lse, all_text_lse)
        ctx.temperature = temperature
        ctx.chunk_size = chunk_size
        world_size = get_world_size()
        pairs = len(video) * world_size
        # DDP will divide by the world size: 'exact' multiplies by it first.
        ctx.scale = (world_size if gradient == 'exact' else 1) / (pairs * temperature)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (video, text, all_video, all_text, video_lse, text_lse, all_video_lse,
         all_text_lse) = ctx.saved_tensors

        def one_side(own: Tensor, others: Tensor, own_lse: Tensor, others_lse: Tensor,
                     partner: Tensor) -> Tensor:
            total = -2 * partner
            scaled = own / ctx.temperature
            for part, part_lse in zip(
                    others.split(ctx.chunk_size), others_lse.split(ctx.chunk_size), strict=True):
                rows = scaled @ part.t()  # (b, chunk_size)
                weights = (rows - own_lse[:, None]).exp_()
                weights += rows.sub_(part_lse).exp_()
                total.addmm_(weights, part)
            return total.mul_(grad * ctx.scale)

        # A backward called under autocast would compute the similarities in half precision.
        with torch.autocast(video.device.type, enabled=False):
            return (one_side(video, all_text, video_lse, all_text_lse, text),
                    one_side(text, all_video, text_lse, all_video_lse, video), None, None, None)


def _log_sum_exp(own: Tensor, others: Tensor, chunk_size: int) -> Tensor:
    """(b,) log-sum-exp of each row of ``own @ others.t()``, made one chunk of columns at a time."""
    lse = own.new_full((len(own), ), float('-inf'))
    for part in others.split(chunk_size):
        lse = torch.logaddexp(lse, (own @ part.t()).logsumexp(dim=1))
    return lse
