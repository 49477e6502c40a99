"""In which order the samples of shards come: pure functions of counts and seeds.

The shards of an epoch stand in a row, shuffled by seed and epoch. The row of samples is cut into
one piece for each rank, each of the same length, and that into one for each stream. A stream is
read from its first to its last sample and mixed by a shuffle buffer. All of it is arithmetic on
the numbers of samples, so everyone who knows a :class:`ShardDraw` knows the sample it means: no
two workers have to talk, and an epoch can be entered at any place.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ShardDraw(NamedTuple):
    """One sample of one epoch.

    Attributes:
        seed: Of the run.
        epoch: 0, 1, 2, ...
        first: Where the stream begins in the row of all samples of the epoch.
        stop: One past its end.
        buffer_size: Samples in the stream's buffer, at least 1.
        shuffle: Whether to shuffle shards and samples.
        position: How many samples the stream has given before.
    """

    seed: int
    epoch: int
    first: int
    stop: int
    buffer_size: int
    shuffle: bool
    position: int


class Span(NamedTuple):
    """Consecutive samples ``start`` .. ``stop - 1`` of one shard."""

    shard: int
    start: int
    stop: int


def spans_of_stream(counts: Sequence[int], draw: ShardDraw) -> list[Span]:
    """Which samples of which shards a stream reads, in this order; any draw of it tells.

    ``counts`` are the samples of each shard.

    Examples:
        >>> draw = ShardDraw(0, 0, first=3, stop=9, buffer_size=1, shuffle=False, position=0)
        >>> [tuple(span) for span in spans_of_stream([4, 2, 5], draw)]
        [(0, 3, 4), (1, 0, 2), (2, 0, 3)]
    """
    order = np.arange(len(counts))
    if draw.shuffle:
        order = np.random.default_rng((draw.seed, draw.epoch)).permutation(len(counts))
    ends = np.cumsum(np.asarray(counts)[order])
    spans = []
    at = int(np.searchsorted(ends, draw.first, side='right'))
    while at < len(order) and (begin := int(ends[at]) - counts[order[at]]) < draw.stop:
        start, stop = max(draw.first - begin, 0), min(draw.stop - begin, counts[order[at]])
        if start < stop:
            spans.append(Span(int(order[at]), start, stop))
        at += 1
    return spans


class BufferedOrder:
    """The n samples 0 .. n - 1 of a stream in the order in which its buffer gives them out.

    The buffer is filled in order; each time one is given out, at random or the oldest, the next
    one takes its place.

    Args:
        draw: Any draw of the stream.

    Attributes:
        waiting: What is in the buffer.
        num_admitted: How many have come into it so far.
    """

    def __init__(self, draw: ShardDraw) -> None:
        self.size = draw.stop - draw.first
        self.num_admitted = min(self.size, draw.buffer_size)
        self.waiting = list(range(self.num_admitted))
        self._rng = (np.random.default_rng((draw.seed, draw.epoch, draw.first))
                     if draw.shuffle else None)

    def pop(self) -> int:
        """Give one out."""
        if self._rng is None:
            given = self.waiting.pop(0)
        else:
            place = int(self._rng.integers(len(self.waiting)))
            self.waiting[place], self.waiting[-1] = self.waiting[-1], self.waiting[place]
            given = self.waiting.pop()
        if self.num_admitted < self.size:
            self.waiting.append(self.num_admitted)
            self.num_admitted += 1
        return given
