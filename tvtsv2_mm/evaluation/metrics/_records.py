"""What the metrics share: reading data samples, and seeing that none is missing."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from tvtsv2_mm.evaluation.intervals import Share, share_of_hits


class SampleMetric(BaseMetric):
    """Base of the metrics that keep one record of each sample, and need all samples.

    Attributes:
        shares: of the last evaluation, the metrics that are shares of hits, by their whole names.
    """

    # What to do where a sample lacks what the model and the pipeline should have given it.
    remedy = 'the pipeline needs TokenizeText, and the model a neck'

    @abstractmethod
    def record(self, sample: Mapping[str, Any]) -> Any:
        """What is kept of a sample."""

    @abstractmethod
    def summarize(self, results: list) -> dict[str, float]:
        """Compute the metrics of all records."""

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the records of a batch."""
        self.results += map(self.record, data_samples)

    def evaluate(self, size: int) -> dict[str, float]:
        """Compute the metrics of a data set of ``size`` samples."""
        self._size = size
        self.shares: dict[str, Share] = {}
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics of all records, in the order of the data set.

        Raises:
            ValueError: samples are missing, or there is none at all.
        """
        if not self._size:
            raise ValueError(f'{type(self).__name__}: the data set has no sample')
        if len(results) != self._size:
            raise ValueError(
                f'{type(self).__name__} got {len(results)} of the {self._size} samples of the data '
                'set; evaluation leaves out none: see that the test loader has no drop_last, and '
                'that process() got the outputs of every batch')
        return self.summarize(results)

    def share(self, name: str, hits: np.ndarray, chances: np.ndarray | float,
              counts: np.ndarray | None = None) -> float:
        """Compute a metric that is a share of hits, in per cent, and keep its interval and chance.

        ``name`` comes without the prefix; the others are those of
        :func:`~tvtsv2_mm.evaluation.intervals.share_of_hits`.
        """
        share = share_of_hits(hits, chances, counts)
        self.shares[f'{self.prefix}/{name}' if self.prefix else name] = share
        return share.value

    def read(self, sample: Mapping[str, Any], key: str, remedy: str | None = None) -> np.ndarray:
        """Read a tensor of a data sample as numpy array.

        Raises:
            KeyError: the sample lacks it; says which sample, which metric, and what to do.
            ValueError: it is not finite.
        """
        if sample.get(key) is None:
            raise KeyError(f'{type(self).__name__} needs {key!r} of every data sample, and '
                           f'{name_of(sample)} has none: {remedy or self.remedy}')
        value = sample[key]
        if isinstance(value, torch.Tensor):
            value = value.float().cpu()
        value = np.asarray(value)
        if not np.isfinite(value).all():
            raise ValueError(
                f'{key} of {name_of(sample)} must be finite, but holds NaN or infinity')
        return value

    def read_label(self, sample: Mapping[str, Any]) -> int:
        """Read the label of a data sample.

        Raises:
            ValueError: it has several.
        """
        labels = self.read(sample, 'gt_label', 'the annotation must give it (label or answer)')
        if labels.size != 1:
            raise ValueError(f'{type(self).__name__} takes one gt_label a sample, and '
                             f'{name_of(sample)} has {labels.size}')
        return int(labels.item())


def name_of(sample: Mapping[str, Any]) -> str:
    """Name of a sample for messages."""
    return sample.get('sample_id', 'a sample')
