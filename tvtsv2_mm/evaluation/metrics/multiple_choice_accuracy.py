"""Which of a video's candidate sentences is the right one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tvtsv2_mm.registry import METRICS

from ._records import SampleMetric, name_of


@METRICS.register_module()
class MultipleChoiceAccuracy(SampleMetric):
    """Share of videos, in per cent, whose nearest candidate (highest cosine) is the right one.

    Reads ``video_embed`` (E,), ``text_embeds`` (n, E) and ``gt_label``. Candidates that are
    equally near count by the expected value.
    """

    default_prefix = 'multiple_choice'

    def record(self, sample: Mapping[str, Any]) -> tuple[float, int]:
        """Judge a video, and count its candidates.

        Raises:
            ValueError: it has nothing to choose from.
        """
        video, texts = (self.read(sample, key) for key in ('video_embed', 'text_embeds'))
        if len(texts) < 2:
            raise ValueError(f'MultipleChoiceAccuracy: {name_of(sample)} has {len(texts)} '
                             'candidate: it needs two or more to choose from')
        # Not a matrix product, in which equal candidates may come out unequal.
        return expected_hit((texts * video).sum(axis=1), self.read_label(sample), 1), len(texts)

    def summarize(self, results: list[tuple[float, int]]) -> dict[str, float]:
        """Average over the videos."""
        hits, candidates = np.array(results, float).T
        return {'top1': self.share('top1', hits, 1 / candidates)}


def expected_hit(scores: np.ndarray, label: int, k: int) -> float:
    """Probability that ``label`` is among the k highest of (C,) scores, ties broken at random.

    Raises:
        ValueError: a score is not finite, or there is no such candidate.
    """
    if not np.isfinite(scores).all():
        raise ValueError('scores must be finite: the embeddings hold NaN or infinity')
    if not 0 <= label < len(scores):
        raise ValueError(f'label {label} does not fit {len(scores)} candidates')
    better = int((scores > scores[label]).sum())
    tied = int((scores == scores[label]).sum())
    return float(np.clip((k - better) / tied, 0, 1))
