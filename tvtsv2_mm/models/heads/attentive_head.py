"""A head for MMAction2's recognizers that attends to a backbone's map."""

import warnings
from typing import Any

from torch import Tensor, nn

from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.attentive_pooling import AttentivePooling

with warnings.catch_warnings():
    # All models of mmaction2 come with it, and what mmcv-lite and timm say to them.
    warnings.simplefilter('ignore')
    from mmaction.models.heads import BaseHead


@MODELS.register_module()
class AttentiveHead(BaseHead):
    """Classes of a clip from one learned query over the tokens of its map, as the attentive probe.

    Args:
        num_classes: number of classes.
        in_channels: E of the map: ``embed_dim`` of our backbones.
        dropout_ratio: of what was pooled, in training.
        init_std: standard deviation of the classifier's weights at the start.
        kwargs: of MMAction2's BaseHead: loss_cls, label_smooth_eps, topk, average_clips, ...
    """

    def __init__(self, *, num_classes: int, in_channels: int, dropout_ratio: float = 0.0,
                 init_std: float = 0.02, **kwargs: Any) -> None:
        super().__init__(num_classes, in_channels, **kwargs)
        self.pooling = AttentivePooling(in_channels)
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.trunc_normal_(self.fc_cls.weight, std=init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Scores (B, num_classes) of maps (B, E, T, H, W), or of any with E in this place.

        Raises:
            ValueError: it is no map, or its E is another.
        """
        if x.ndim < 3 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'AttentiveHead pools a map (B, {self.in_channels}, T, H, W), got '
                f"{tuple(x.shape)}: set backbone.output='map', and cls_head.in_channels to "
                'backbone.embed_dim')
        return self.fc_cls(self.dropout(self.pooling(x.flatten(2).transpose(1, 2))))
