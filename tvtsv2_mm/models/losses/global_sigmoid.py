"""SigLIP's sigmoid loss over the global batch, exact on any number of ranks."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import get_rank
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from .gathering import gather_rows


def global_sigmoid_loss(video: Tensor,
                        text: Tensor,
                        scale: Tensor,
                        bias: Tensor,
                        chunk_size: int = 4096) -> Tensor:
    """Each of the N * N pairs by itself, a pair or none (Zhai et al., 2023, arXiv 2303.15343).

    With N = W * b the pairs of all W ranks, z_ij = 1 for i = j and -1 else, ::

        loss = -1 / N  sum_i  sum_j  log sigmoid(z_ij * (scale * cos_ij + bias))

    Every rank computes the N columns of its own b rows, ``chunk_size`` columns at a time, and
    computes them again in the backward: O(b * N) work, O(b * chunk_size) memory beside the (N, E)
    embeddings. The backward communicates nothing, because the pairs are independent.

    After DDP's mean over ranks all gradients, those of ``scale`` and ``bias`` too, are the ones
    that a single rank gets on the joint batch.

    Args:
        video: (b, E) l2-normalised embeddings of this rank; every rank has the same b.
        text: (b, E) likewise.
        scale: one number, by which cosine similarities are multiplied; the same on every rank.
        bias: one number that is added to them; the same on every rank.
        chunk_size: columns of the similarities computed at a time. It changes memory and
            rounding, not the loss; N or more computes all at once.

    Returns:
        The loss of the joint batch, a float32 scalar, the same on every rank.

    Raises:
        ValueError: ``chunk_size`` is below 1.
    """
    if chunk_size < 1:
        raise ValueError(f'chunk_size must be at least 1, not {chunk_size!r}')
    with torch.autocast(video.device.type, enabled=False):
        return _GlobalSigmoid.apply(
            video.float(), text.float(), scale.float(), bias.float(), chunk_size)


class _GlobalSigmoid(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, video: Tensor, text: Tensor, scale: Tensor, bias: Tensor,
                chunk_size: int) -> Tensor:
        all_video, all_text = gather_rows(video, text)
        # softplus(-x) = -log sigmoid(x)
        losses = torch.zeros_like(video[:, 0])
        for logits, own, _ in _chunks(video, all_text, scale, bias, chunk_size):
            own.neg_()
            losses += softplus(logits).sum(dim=1)
        ctx.save_for_backward(video, text, all_video, all_text, scale, bias)
        ctx.chunk_size = chunk_size
        return gather_rows(losses)[0].mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        video, text, all_video, all_text, scale, bias = ctx.saved_tensors
        # DDP will divide the sum over the ranks by their number, and there are b pairs on each.
        grad = grad / len(video)

        def one_side(rows: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
            """Of dL/dlogit: its product with the others (b, E), and its sum."""
            products, total = torch.zeros_like(rows), torch.zeros_like(rows[0, 0])
            for logits, own, part in _chunks(rows, others, scale, bias, ctx.chunk_size):
                own.neg_()
                logits.sigmoid_()
                own.neg_()
                products.addmm_(logits, part)
                total += logits.sum()
            return products.mul_(grad), total.mul_(grad)

        # A backward called under autocast would compute the similarities in half precision.
        with torch.autocast(video.device.type, enabled=False):
            to_video, total = one_side(video, all_text)
            to_text, _ = one_side(text, all_video)
        # Of scale and bias: each pair is in the rows of one video, and DDP adds up all ranks'.
        return (to_video * scale, to_text * scale, (video * to_video).sum().view_as(scale),
                total.view_as(bias), None)


def _chunks(rows: Tensor, others: Tensor, scale: Tensor, bias: Tensor,
            chunk_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Logits (b, chunk), a view of those of true pairs in them, and the chunk of the others."""
    scaled, first = rows * scale, get_rank() * len(rows)
    for start in range(0, len(others), chunk_size):
        part = others[start:start + chunk_size]
        logits = torch.addmm(bias, scaled, part.t())
        end = min(start + len(part), first + len(rows))
        begin = min(max(start, first), end)
        yield logits, logits[begin - first:end - first, begin - start:end - start].diagonal(), part
