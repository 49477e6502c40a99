"""Video-text contrast by SigLIP's loss, whose scale and bias are learnt."""

import math

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from tvtsv2_mm.models.losses import global_sigmoid_loss
from tvtsv2_mm.registry import MODELS

from .contrastive_head import pair_directions


@MODELS.register_module()
class VideoTextSigmoidHead(BaseModule):
    """Tell each pair of a video and the mean of K transcripts from all others of the global batch.

    It reads embeddings of one width, of backbone and neck, and no tokens. See
    :func:`~tvtsv2_mm.models.losses.global_sigmoid_loss`.

    Args:
        scale: by which cosine similarities are multiplied at first, and
        bias: what is added to them. The defaults are the paper's starts (arXiv 2303.15343); what a
            SigLIP has learnt (``logit_scale``, ``logit_bias``) comes with its weights.
        chunk_size: columns of the similarities computed at a time: memory is
            O(batch of a rank * chunk_size), the loss is the same.
        loss_weight: weight of the loss.
    """

    def __init__(self,
                 *,
                 scale: float = 10.0,
                 bias: float = -10.0,
                 chunk_size: int = 4096,
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f'contrastive_head.scale must be positive, not {scale!r}')
        # Not of no dimension: that cannot be sharded.
        self.logit_scale = nn.Parameter(torch.tensor([math.log(scale)]))
        self.logit_bias = nn.Parameter(torch.tensor([float(bias)]))
        self.chunk_size = chunk_size
        self.loss_weight = loss_weight

    @property
    def temperature(self) -> float:
        """What cosine similarities are divided by, as in VideoTextContrastiveHead."""
        return math.exp(-self.logit_scale.item())

    def loss(self, video_embeds: Tensor, text_embeds: Tensor) -> dict[str, Tensor]:
        """Compute the loss from (B, E) and (B, K, E), both before l2-normalisation.

        Returns:
            ``loss_contrastive``: scalar.
        """
        loss = global_sigmoid_loss(
            *pair_directions(video_embeds, text_embeds), self.logit_scale.float().exp(),
            self.logit_bias, self.chunk_size)
        return dict(loss_contrastive=self.loss_weight * loss)
