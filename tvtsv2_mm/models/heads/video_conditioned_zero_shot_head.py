"""Zero-shot recognition by texts that are read anew for each video."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tvtsv2_mm.registry import MODELS

from .zero_shot_head import ZeroShotHead


@MODELS.register_module()
class VideoConditionedZeroShotHead(ZeroShotHead):
    """Cosine between the video and each class' texts as the video makes them: X-CLIP's forward.

    It asks for a backbone that can do that (:class:`.XClipBackbone`). A class' embedding is, for
    each video, the normalised mean of the normalised embeddings of its prompts. X-CLIP's own
    protocol has one prompt, the class name.

    Arguments are those of :class:`ZeroShotHead`.
    """

    reads_tokens = True

    def _encode(self, texts: list[str], encode_text: Callable[[Tensor], Tensor],
                device: torch.device) -> Tensor:
        """The texts themselves, (C * P, E): what is done with them depends on the video."""
        return self._encode_texts(texts, encode_text, device).float()

    def predict_views(self, view_embeds: Tensor, view_tokens: Tensor,
                      encode_text: Callable[[Tensor], Tensor],
                      condition_texts: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Cosines (B, C) of videos with the classes, the mean over their views.

        Args:
            view_embeds: (B, V, E).
            view_tokens: (B, V, N, E).
            encode_text: as in :meth:`ZeroShotHead.predict`.
            condition_texts: of texts (M, E) and tokens (B, N, E) makes texts (B, M, E).
        """
        texts = self.class_embeds(encode_text, view_embeds.device)
        embeds = F.normalize(view_embeds.float(), dim=-1)
        scores = []
        for view in range(embeds.shape[1]):
            own = F.normalize(condition_texts(texts, view_tokens[:, view]).float(), dim=-1)
            own = own.unflatten(1, (self.num_classes, -1)).mean(dim=2)
            scores.append(torch.einsum('be,bce->bc', embeds[:, view], F.normalize(own, dim=-1)))
        return torch.stack(scores).mean(dim=0)
