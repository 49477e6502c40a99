"""Which of a video's candidate sentences is the right one."""

from collections.abc import Sequence

import numpy as np

from tvtsv2_mm.registry import METRICS

from ._records import SampleMetric, name_of, read, read_label

REMEDY = 'the pipeline needs TokenizeText, and the model a neck'


@METRICS.register_module()
class MultipleChoiceAccuracy(SampleMetric):
    """Share of videos, in per cent, whose nearest candidate (highest cosine) is the right one.

    Reads ``video_embed`` (E,), ``text_embeds`` (n, E) and ``gt_label``. Candidates that are
    equally near count by the expected value.
    """

    default_prefix = 'multiple_choice'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Judge each video of a batch.

        Raises:
            ValueError: a video has nothing to choose from.
        """
        for sample in data_samples:
            video = read(sample, 'video_embed', 'MultipleChoiceAccuracy', REMEDY)
            texts = read(sample, 'text_embeds', 'MultipleChoiceAccuracy', REMEDY)
            if len(texts) < 2:
                raise ValueError(f'MultipleChoiceAccuracy: {name_of(sample)} has {len(texts)} '
                                 'candidate: it needs two or more to choose from')
            # Not a matrix product, in which equal candidates may come out unequal.
            scores = (texts * video).sum(axis=1)
            self.results.append(
                expected_hit(scores, read_label(sample, 'MultipleChoiceAccuracy'), 1))

    def summarize(self, results: list[float]) -> dict[str, float]:
        """Average over the videos."""
        return {'top1': 100 * float(np.mean(results))}


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
