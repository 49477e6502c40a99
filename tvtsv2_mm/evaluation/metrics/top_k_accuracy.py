"""Recognition accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvtsv2_mm.registry import METRICS

from ._records import SampleMetric
from .multiple_choice_accuracy import expected_hit


@METRICS.register_module()
class TopKAccuracy(SampleMetric):
    """Share of videos, in per cent, whose class is among the k most likely, and the class mean.

    MMAction2's AccMetric breaks ties by the class index; here equal scores give chance, and the
    k that cannot fail, the number of classes or more, are left out.

    Args:
        topk: the values of k.
        **kwargs: of mmengine's ``BaseMetric``.
    """

    default_prefix = 'acc'
    remedy = 'the model needs a cls_head'

    def __init__(self, *, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topk = tuple(topk)

    def record(self, sample: Mapping[str, Any]) -> tuple[int, dict[int, float], int]:
        """Judge a video, and count the classes."""
        scores, label = self.read(sample, 'pred_score'), self.read_label(sample)
        return label, {k: expected_hit(scores, label, k) for k in self.topk if k < len(scores)
                       }, len(scores)

    def summarize(self, results: list[tuple[int, dict[int, float], int]]) -> dict[str, float]:
        """Average over the videos, and of top 1 over the classes."""
        labels = np.array([label for label, *_ in results])
        metrics = {}
        for k in results[0][1]:
            hits = np.array([own[k] for _, own, _ in results])
            metrics[f'top{k}'] = self.share(f'top{k}', hits, k / results[0][2])
            if k == self.topk[0]:
                by_class = [hits[labels == label].mean() for label in np.unique(labels)]
                metrics[f'mean_class_top{k}'] = 100 * float(np.mean(by_class))
        return metrics
