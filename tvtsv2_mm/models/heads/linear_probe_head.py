"""Linear probe: one linear layer on the embedding of a frozen video encoder."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModule
from torch import Tensor, nn

from tvtsv2_mm.registry import MODELS


@MODELS.register_module()
class LinearProbeHead(BaseModule):
    """One linear layer on the video embedding (paper, section 4).

    Args:
        num_classes: number of classes.
        embed_dim: width E of the embedding.
    """

    def __init__(self, *, num_classes: int, embed_dim: int = 512) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.embed_dim = embed_dim
        self.fc = nn.Linear(embed_dim, num_classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def loss(self, video_embeds: Tensor, data_samples: list[ActionDataSample]) -> dict[str, Tensor]:
        """Cross-entropy of (B, E) against the samples' ``gt_label``."""
        labels = torch.cat([sample.gt_label for sample in data_samples]).to(video_embeds.device)
        for label in map(int, labels.aminmax()):
            if not 0 <= label < self.num_classes:
                raise ValueError(f'label {label} does not fit cls_head.num_classes='
                                 f'{self.num_classes} (labels count from 0)')
        logits = self.fc(video_embeds)
        accuracy = (logits.argmax(dim=-1) == labels).float().mean()
        return dict(loss_cls=F.cross_entropy(logits.float(), labels), acc_top1=accuracy)

    def predict(self, video_embeds: Tensor, encode_text: Callable[[Tensor], Tensor]) -> Tensor:
        """Class probabilities (B, num_classes); the text encoder is not needed."""
        return self.fc(video_embeds).softmax(dim=-1)
