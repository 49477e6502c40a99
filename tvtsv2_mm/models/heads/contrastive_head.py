"""Video-text contrast (VTC), the first term of TVTSv2's objective."""

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from tvtsv2_mm.models.losses import global_contrastive_loss
from tvtsv2_mm.registry import MODELS


@MODELS.register_module()
class VideoTextContrastiveHead(BaseModule):
    """Contrast each video with the mean of its K transcripts over the global batch.

    It reads embeddings of one width, of backbone and neck, and no tokens.

    Args:
        temperature: divides the cosine similarities; fixed at 0.05 in the release.
        gradient: 'exact' or 'release' (1 / world size of it); see
            :func:`~tvtsv2_mm.models.losses.global_contrastive_loss`.
        chunk_size: columns of the similarities computed at a time: memory is
            O(batch of a rank * chunk_size), the loss is the same.
        loss_weight: weight of the loss.
    """

    def __init__(self,
                 *,
                 temperature: float = 0.05,
                 gradient: str = 'exact',
                 chunk_size: int = 4096,
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.gradient = gradient
        self.chunk_size = chunk_size
        self.loss_weight = loss_weight

    def loss(self, video_embeds: Tensor, text_embeds: Tensor) -> dict[str, Tensor]:
        """Compute the loss from (B, E) and (B, K, E), both before l2-normalisation.

        Returns:
            ``loss_contrastive``: scalar.
        """
        loss = global_contrastive_loss(
            *pair_directions(video_embeds, text_embeds), self.temperature, self.gradient,
            self.chunk_size)
        return dict(loss_contrastive=self.loss_weight * loss)


def pair_directions(video_embeds: Tensor, text_embeds: Tensor) -> tuple[Tensor, Tensor]:
    """Directions of videos (B, E) and of the means of their K transcripts (B, K, E): (B, E) each.

    In float32 also where the model computes in bfloat16: the similarities are divided by a small
    temperature.
    """
    return (F.normalize(video_embeds.float(), dim=-1),
            F.normalize(text_embeds.float().mean(dim=1), dim=-1))
