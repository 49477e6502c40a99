"""Batches of one data set each, in turn: how two corpora are trained on together."""

from collections.abc import Iterator, Sequence

import torch
from mmengine.dataset import ConcatDataset
from torch.utils.data import Dataset, Sampler

from tvtsv2_mm.registry import DATA_SAMPLERS


def turn_order(ratios: Sequence[int]) -> list[int]:
    """Which source each step of one round takes, spread as evenly as can be.

    Examples:
        >>> turn_order((1, 1))
        [0, 1]
        >>> turn_order((4, 2))
        [0, 1, 0, 0, 1, 0]
    """
    places = [((k + 0.5) / ratio, source) for source, ratio in enumerate(ratios)
              for k in range(ratio)]
    return [source for _, source in sorted(places)]


@DATA_SAMPLERS.register_module()
class AlternatingBatchSampler(Sampler):
    """Alternate between the data sets of a ``ConcatDataset``, batch by batch.

    Each batch comes from one data set only, and every rank takes the same one at the same step, so
    that all ranks have the same losses (sorting only where there are K > 1 transcripts). Each data
    set is shuffled by seed and epoch and dealt out to the ranks; nothing is repeated in an epoch,
    which ends when a data set whose turn it is has no full batch left.

    Used as ``batch_sampler`` of a mmengine data loader, whose ``sampler`` (a ``DefaultSampler``)
    gives data set, rank, world size, seed, epoch and whether to shuffle::

        train_dataloader = dict(
            batch_size=12,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='AlternatingBatchSampler', ratios=(1, 1)),
            dataset=dict(type='ConcatDataset', datasets=[...]))

    Args:
        sampler: mmengine's ``DefaultSampler`` over a ``ConcatDataset`` of N data sets.
        batch_size: Samples in a batch, on each rank. A data set with ``clips_per_video`` N gives N
            of them for each index, so all sources have batches of the same size.
        ratios: N whole numbers: batches of each data set in a round.

    Raises:
        TypeError: If the sampler or its data set are of another kind.
        ValueError: If the ratios do not fit the data sets, a data set has not one batch, or its
            clips_per_video does not divide the batch size.
    """

    def __init__(self, *, sampler: Sampler, batch_size: int,
                 ratios: Sequence[int] = (1, 1)) -> None:
        missing = [name for name in ('dataset', 'rank', 'world_size', 'seed', 'epoch', 'shuffle')
                   if not hasattr(sampler, name)]
        if missing:
            raise TypeError(f'AlternatingBatchSampler needs sampler=dict(type="DefaultSampler"), '
                            f'but {type(sampler).__name__} has no {", ".join(missing)}')
        if not isinstance(sampler.dataset, ConcatDataset):
            raise TypeError('AlternatingBatchSampler needs dataset=dict(type="ConcatDataset", '
                            f'datasets=[...]), got {type(sampler.dataset).__name__}')
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        sizes = [len(dataset) for dataset in sampler.dataset.datasets]
        if len(ratios) != len(sizes) or any(r != int(r) or r < 1 for r in ratios):
            raise ValueError(f'ratios must be one whole number of at least 1 for each of the '
                             f'{len(sizes)} data sets, got {tuple(ratios)}')
        self.sampler = sampler
        self.batch_size = batch_size
        self.ratios = tuple(int(r) for r in ratios)
        self._sizes = sizes
        clips = [_clips_per_video(dataset) for dataset in sampler.dataset.datasets]
        if any(batch_size % n for n in clips):
            raise ValueError(f'batch_size={batch_size} must be a multiple of the clips_per_video '
                             f'of each data set, {clips}')
        self._indices_per_batch = [batch_size // n for n in clips]
        self._batches = [size // (n * sampler.world_size)
                         for size, n in zip(sizes, self._indices_per_batch, strict=True)]
        if min(self._batches) == 0:
            raise ValueError(
                f'data sets of {sizes} samples with {clips} clips each: each needs at least one '
                f'batch of {batch_size} clips on each of {sampler.world_size} ranks')
        self._turns = self._turns_of_epoch()

    def _turns_of_epoch(self) -> list[int]:
        left = list(self._batches)
        turns = []
        while True:
            for source in turn_order(self.ratios):
                if left[source] == 0:
                    return turns
                left[source] -= 1
                turns.append(source)

    def __len__(self) -> int:
        """Batches of an epoch, on each rank."""
        return len(self._turns)

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of indices into the ``ConcatDataset``."""
        orders = self._orders_of_this_rank()
        taken = [0] * len(orders)
        for source in self._turns:
            start = taken[source]
            taken[source] += self._indices_per_batch[source]
            yield orders[source][start:taken[source]]

    def _orders_of_this_rank(self) -> list[list[int]]:
        sampler = self.sampler
        generator = torch.Generator().manual_seed(sampler.seed + sampler.epoch)
        orders, offset = [], 0
        for size in self._sizes:
            order = torch.randperm(size, generator=generator) if sampler.shuffle else torch.arange(
                size)
            orders.append((order[sampler.rank::sampler.world_size] + offset).tolist())
            offset += size
        return orders


def _clips_per_video(dataset: Dataset) -> int:
    """Clips that one index gives, also through mmengine's wrappers (RepeatDataset and so on)."""
    while not hasattr(dataset, 'clips_per_video') and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    return getattr(dataset, 'clips_per_video', 1)
