"""Batches from shards: each sample once an epoch, ranks that end together, any place to begin."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dataset import DefaultSampler
from mmengine.logging import print_log

from tvtsv2_mm.datasets.drawn_index import DrawnIndex
from tvtsv2_mm.datasets.shards.order import ShardDraw
from tvtsv2_mm.datasets.shards.sharded_dataset import ShardedVideoDataset
from tvtsv2_mm.engine.samplers.alternating_batch_sampler import TurnSampler, turns_of_epoch
from tvtsv2_mm.registry import DATA_SAMPLERS

# Even without shuffling: some are at hand to stand in for a sample that cannot be used.
_MIN_BUFFER = 8


@DATA_SAMPLERS.register_module()
class ShardBatchSampler(TurnSampler):
    """Deal out the samples of one sharded data set, or of several in turn, batch by batch.

    In an epoch each rank gets as many samples of a data set, and no sample comes twice. What does
    not fill a batch on every rank comes as one shorter last batch; the few samples that cannot be
    given to every rank alike (fewer than there are ranks) are left out of this epoch. With several
    data sets, or ``drop_last``, all that does not fill batches is left out. How many that are is
    logged at the start; which ones changes with each epoch, as the shards are shuffled anew.

    Each rank reads ``num_streams`` streams, batch t from stream ``t % num_streams``. So the batches
    are the same whatever the number of loader workers; where that number divides ``num_streams``,
    each worker has streams of its own, and no shard is read in vain.

    Used as AlternatingBatchSampler is for videos in files, and several data sets take turns as
    there.

    Args:
        sampler: mmengine's ``DefaultSampler`` over a sharded data set, or a ``ConcatDataset`` of
            them.
        batch_size: Samples in a batch, on each rank.
        ratios: One whole number for each data set: its batches in a round.
        num_streams: Streams of a rank.
        shuffle_buffer: Undecoded samples that a rank keeps in memory to draw from, over all its
            streams.
        drop_last: Leave out the shorter last batch.

    Raises:
        TypeError: If the sampler or its data set are of another kind.
        ValueError: If the numbers do not fit the data sets.
    """

    def __init__(self, *, sampler: DefaultSampler, batch_size: int, ratios: Sequence[int] = (1,),
                 num_streams: int = 24, shuffle_buffer: int = 1000,
                 drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size)
        for dataset in self._datasets:
            if not isinstance(dataset, ShardedVideoDataset):
                raise TypeError('ShardBatchSampler needs a ShardedTranscriptDataset or a Sharded'
                                'CaptionDataset, or a ConcatDataset of them, got '
                                f'{type(dataset).__name__}')
        if min(num_streams, shuffle_buffer) < 1:
            raise ValueError('num_streams and shuffle_buffer must be at least 1, got '
                             f'{num_streams} and {shuffle_buffer}')
        self.ratios = tuple(ratios)
        self.num_streams = num_streams
        self.shuffle_buffer = shuffle_buffer
        if len(self._datasets) == 1 and not drop_last:
            self._turns, self._batch_sizes = self._batches_of_one(*self._sizes)
        else:
            self._turns = turns_of_epoch(
                self._sizes, [batch_size] * len(self._datasets), sampler.world_size, self.ratios)
            self._batch_sizes = [batch_size] * len(self._turns)
        self._report()

    def _batches_of_one(self, size: int) -> tuple[list[int], list[int]]:
        """Sources and sizes of the batches where all samples are wanted."""
        ranks = self.sampler.world_size
        if self.batch_size < 1 or size < ranks:
            raise ValueError(f'{size} samples for {ranks} ranks in batches of {self.batch_size}: '
                             'there must be at least one of each')
        full, rest = divmod(size // ranks, self.batch_size)
        sizes = [self.batch_size] * full + [rest] * bool(rest)
        return [0] * len(sizes), sizes

    def describe(self) -> dict[str, Any]:
        """Streams and buffer decide as well which samples a batch has."""
        return dict(super().describe(), num_streams=self.num_streams,
                    shuffle_buffer=self.shuffle_buffer)

    def _report(self) -> None:
        for source, (dataset, size) in enumerate(zip(self._datasets, self._sizes, strict=True)):
            used = self.sampler.world_size * sum(
                size for turn, size in zip(self._turns, self._batch_sizes, strict=True)
                if turn == source)
            print_log(f'{dataset.ann_file}: an epoch has {used} of its {size} samples'
                      + (f', {size - used} are left out, others each time' if used < size else ''),
                      logger='current', level=logging.INFO)

    def __iter__(self) -> Iterator[list[DrawnIndex]]:
        """Batches of indices, which say which sample of which stream they mean."""
        begin = self._first_step()
        streams = self._streams_of_this_rank()
        for step, (source, size) in enumerate(zip(self._turns, self._batch_sizes, strict=True)):
            key = source, step % self.num_streams
            draw, offset = streams[key]
            if step >= begin:
                yield [DrawnIndex(offset, draw._replace(position=draw.position + k))
                       for k in range(size)]
            streams[key] = draw._replace(position=draw.position + size), offset

    def _streams_of_this_rank(self) -> dict[tuple[int, int], tuple[ShardDraw, int]]:
        """The streams of each data set, and the number of its first sample among all."""
        lengths: Counter[tuple[int, int]] = Counter()
        for step, (source, size) in enumerate(zip(self._turns, self._batch_sizes, strict=True)):
            lengths[source, step % self.num_streams] += size
        sampler, streams = self.sampler, {}
        for source in range(len(self._sizes)):
            own = {key: length for key, length in lengths.items() if key[0] == source}
            first = sampler.rank * sum(own.values())
            for key, length in own.items():
                buffer_size = self.shuffle_buffer // len(lengths) if sampler.shuffle else 0
                streams[key] = ShardDraw(
                    seed=sampler.seed, epoch=sampler.epoch, first=first, stop=first + length,
                    buffer_size=max(buffer_size, _MIN_BUFFER), shuffle=sampler.shuffle,
                    position=0), sum(self._sizes[:source])
                first += length
        return streams
