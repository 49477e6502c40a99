"""Batches of one data set each, in turn: how two corpora are trained on together."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.dataset import ConcatDataset, DefaultSampler
from mmengine.logging import print_log
from torch.utils.data import Sampler

from tvtsv2_mm.datasets.drawn_index import DrawnIndex
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


def turns_of_epoch(sizes: Sequence[int], batch_sizes: Sequence[int], world_size: int,
                   ratios: Sequence[int]) -> list[int]:
    """Which source each step of an epoch takes: until one whose turn it is has no full batch.

    Sources have ``sizes`` clips, and ``ratios`` batches in a round, of ``batch_sizes`` on a rank.

    Raises:
        ValueError: If the ratios do not fit, or a source has not one batch.

    Examples:
        >>> turns_of_epoch((6, 4), (1, 1), 2, (1, 1))
        [0, 1, 0, 1, 0]
    """
    if min(batch_sizes) < 1:
        raise ValueError(f'batch_size must be at least 1, got {min(batch_sizes)}')
    left = [size // (own * world_size) for size, own in zip(sizes, batch_sizes, strict=True)]
    if min(left) == 0:
        short = left.index(0)
        raise ValueError(
            f'data sets of {list(sizes)} clips: each needs at least one batch of '
            f'{batch_sizes[short]} clips on each of {world_size} ranks, '
            f'{batch_sizes[short] * world_size} clips; a smaller train_dataloader.batch_size does')
    if len(ratios) != len(sizes) or any(r != int(r) or r < 1 for r in ratios):
        raise ValueError(f'ratios must be one whole number of at least 1 for each of the '
                         f'{len(sizes)} data sets, got {tuple(ratios)}')
    turns = []
    while True:
        for source in turn_order(ratios):
            if left[source] == 0:
                return turns
            left[source] -= 1
            turns.append(source)


class TurnSampler(Sampler):
    """Base of the batch samplers, which take their data sets in turn.

    Attributes:
        start: (epoch, batch): in this epoch the first batches are left out, as they were trained
            on before (see ResumeDataHook).
    """

    ratios: tuple[int, ...]
    # Which data set each step of an epoch takes.
    _turns: list[int]

    def __init__(self, sampler: DefaultSampler, batch_size: int) -> None:
        missing = [key for key in ('dataset', 'rank', 'world_size', 'seed', 'epoch', 'shuffle')
                   if not hasattr(sampler, key)]
        if missing:
            raise TypeError(f'{type(self).__name__} needs sampler=dict(type="DefaultSampler"), but '
                            f'{type(sampler).__name__} has no {", ".join(missing)}')
        self.sampler = sampler
        self.batch_size = batch_size
        self.start = (0, 0)
        self._datasets = sampler.dataset.datasets if isinstance(
            sampler.dataset, ConcatDataset) else [sampler.dataset]
        self._sizes = [len(dataset) for dataset in self._datasets]

    def describe(self) -> dict[str, Any]:
        """What has to stay the same for a batch to have the same number."""
        return dict(sizes=self._sizes, batch_size=self.batch_size, ratios=list(self.ratios),
                    ranks=self.sampler.world_size, batches=len(self))

    def __len__(self) -> int:
        """Batches of an epoch, on each rank."""
        return len(self._turns)

    def _first_step(self) -> int:
        epoch, batch = self.start
        return batch if epoch == self.sampler.epoch else 0


@DATA_SAMPLERS.register_module()
class AlternatingBatchSampler(TurnSampler):
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
        ratios: N whole numbers: batches of each data set in a round; None takes every full batch of
            each data set in an epoch.
        shrink: a data set of less than one batch gives batches of what it has, which is told,
            instead of an error.

    Raises:
        TypeError: If the sampler or its data set are of another kind.
        ValueError: If the ratios do not fit the data sets, a data set has not one batch, or its
            clips_per_video does not divide the batch size.
    """

    def __init__(self, *, sampler: DefaultSampler, batch_size: int,
                 ratios: Sequence[int] | None = (1, 1), shrink: bool = False) -> None:
        super().__init__(sampler, batch_size)
        if not isinstance(sampler.dataset, ConcatDataset):
            raise TypeError('AlternatingBatchSampler needs dataset=dict(type="ConcatDataset", '
                            f'datasets=[...]), got {type(sampler.dataset).__name__}')
        clips = [_clips_per_video(dataset) for dataset in self._datasets]
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        if any(batch_size % n for n in clips):
            raise ValueError(f'batch_size={batch_size} must be a multiple of the clips_per_video '
                             f'of each data set, {clips}')
        clips_of = [size * n for size, n in zip(self._sizes, clips, strict=True)]
        batches = [batch_size] * len(clips)
        if shrink:
            batches = [_smaller_batch(dataset, n, batch_size, sampler.world_size)
                       for dataset, n in zip(self._datasets, clips, strict=True)]
        self._indices_per_batch = [own // n for own, n in zip(batches, clips, strict=True)]
        if ratios is None:
            ratios = [size // (own * sampler.world_size)
                      for size, own in zip(clips_of, batches, strict=True)]
        self.ratios = tuple(ratios)
        self._turns = turns_of_epoch(clips_of, batches, sampler.world_size, self.ratios)

    def __iter__(self) -> Iterator[list[DrawnIndex]]:
        """Batches of indices into the ``ConcatDataset``."""
        sampler, begin = self.sampler, self._first_step()
        orders = self._orders_of_this_rank()
        taken = [0] * len(orders)
        for step, source in enumerate(self._turns):
            start = taken[source]
            taken[source] += self._indices_per_batch[source]
            if step >= begin:
                yield [DrawnIndex(index, (sampler.seed, sampler.epoch, index))
                       for index in orders[source][start:taken[source]]]

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


def _clips_per_video(dataset: Any) -> int:
    """Clips that one index gives, also through mmengine's wrappers (RepeatDataset and so on)."""
    while not hasattr(dataset, 'clips_per_video') and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    return getattr(dataset, 'clips_per_video', 1)


def _smaller_batch(dataset: Any, clips: int, batch_size: int, world_size: int) -> int:
    """Clips in a batch of a data set with ``clips`` of each video, which may have less than one."""
    videos = len(dataset) // world_size
    if videos * clips >= batch_size:
        return batch_size
    name = getattr(dataset, 'ann_file', type(dataset).__name__)
    if videos < 2:
        raise ValueError(f'{name}: {len(dataset)} videos cannot be trained on: two are needed on '
                         f'each of {world_size} ranks, for one is told from another')
    print_log(f'{name}: {len(dataset)} videos to train on, so its batches are of {videos * clips} '
              f'clips instead of {batch_size}', logger='current', level=logging.WARNING)
    return videos * clips
