"""How well transcripts are put back in order."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from tvtsv2_mm.registry import METRICS

from ._records import read

REMEDY = ('the model needs a sorting_head whose num_transcripts is the number of texts that the '
          'pipeline gives')


@METRICS.register_module()
class SortingAccuracy(BaseMetric):
    """Accuracy of ``order_logits`` (K, K), transcripts given in their true order.

    ``per_transcript``: share of transcripts whose most likely position is the true one.
    ``per_video``: share of videos in which all are. Both in per cent. Positions that are equally
    likely count by the expected value, so that an indifferent head gives chance: 100 / K, and
    100 / K ** K.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Judge each transcript of a batch."""
        for sample in data_samples:
            logits = read(sample, 'order_logits', 'SortingAccuracy', REMEDY)
            if not np.isfinite(logits).all():
                raise ValueError(f'order_logits of {sample.get("sample_id", "a sample")} are not '
                                 'finite')
            top = logits == logits.max(axis=1, keepdims=True)
            self.results.append(top.diagonal() / top.sum(axis=1))

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Average over transcripts and over videos."""
        return {
            'sorting/per_transcript': 100 * float(np.concatenate(results).mean()),
            'sorting/per_video': 100 * float(np.mean([own.prod() for own in results])),
        }
