"""How well transcripts are put back in order."""

from collections.abc import Mapping
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np

from tvtsv2_mm.registry import METRICS

from ._records import SampleMetric, name_of

# Their 5,040 orders are tried in a millisecond; the next number has eight times as many.
_MOST_TRANSCRIPTS = 7


@METRICS.register_module()
class SortingAccuracy(SampleMetric):
    """Accuracy of ``order_logits`` (K, K), transcripts given in their true order.

    ``per_transcript``: share of transcripts whose most likely position is the true one.
    ``per_video``: share of videos in which all are; two transcripts may want the same position.
    ``best_order``: share of videos whose most likely order, each position taken once, is the true
    one (up to K = 7, since all orders are tried). All in per cent. What is equally likely counts by
    the expected value, so that an indifferent head gives chance: 100 / K, 100 / K ** K, 100 / K!.
    """

    default_prefix = 'sorting'
    remedy = ('the model needs a sorting_head whose num_transcripts is the number of texts that '
              'the pipeline gives')

    def record(self, sample: Mapping[str, Any]) -> tuple[np.ndarray, float | None]:
        """Judge each transcript, and the most likely order."""
        logits = self.read(sample, 'order_logits')
        if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
            raise ValueError(f'order_logits of {name_of(sample)} must be (K, K), and are '
                             f'{logits.shape}')
        top = logits == logits.max(axis=1, keepdims=True)
        return top.diagonal() / top.sum(axis=1), best_order_hit(logits)

    def summarize(self, results: list[tuple[np.ndarray, float | None]]) -> dict[str, float]:
        """Average over transcripts and over videos."""
        hits, orders = zip(*results, strict=True)
        counts = np.array([len(own) for own in hits])
        whole = np.array([own.prod() for own in hits])
        metrics = {
            'per_transcript': self.share(
                'per_transcript', np.array([own.sum() for own in hits]), 1.0, counts),
            'per_video': self.share('per_video', whole, 1 / counts.astype(float)**counts),
        }
        if None not in orders:
            metrics['best_order'] = self.share('best_order', np.array(orders), np.array(
                [1 / factorial(count) for count in counts.tolist()]))
        return metrics


def best_order_hit(logits: np.ndarray) -> float | None:
    """Probability that the true order is taken when one of the most likely orders is.

    An order's likelihood is that of its positions together: the sum of their logits, since what
    turns a row of logits into log-probabilities is the same for every order. None if K > 7.
    """
    num = len(logits)
    if num > _MOST_TRANSCRIPTS:
        return None
    orders = np.array(list(permutations(range(num))))
    scores = logits.astype(np.float64)[np.arange(num), orders].sum(axis=1)
    # Sums in another order differ by rounding.
    best = scores >= scores.max() - 1e-9 * max(1.0, np.abs(scores).max())
    return float(best[0] / best.sum())  # the first permutation is the identity
