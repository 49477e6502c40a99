"""Reads the samples of one stream from its shards."""

import tarfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tvtsv2_mm.datasets.shards.index import ShardIndex
from tvtsv2_mm.datasets.shards.order import BufferedOrder, ShardDraw, spans_of_stream
from tvtsv2_mm.utils.extras import needed_for

_LARGEST_FILE = 2**32


@dataclass(frozen=True, kw_only=True)
class RawSample:
    """The files of a sample, or why they cannot be had.

    Attributes:
        number: Of the sample in the whole corpus.
        label: 'shard.tar::key'.
        files: By their ending; None where the shard does not have the sample.
        reason: Why not.
    """

    number: int
    label: str
    files: dict[str, bytes] | None = None
    reason: str = ''


class ShardStream:
    """The samples of a stream in the order of its buffer, from any of them on.

    Args:
        index: The shards.
        draw: Where to begin.

    Attributes:
        position: How many samples have been given out, or left out.
    """

    def __init__(self, index: ShardIndex, draw: ShardDraw) -> None:
        self._index = index
        self._order = BufferedOrder(draw)
        for _ in range(draw.position):
            self._order.pop()
        self.position = draw.position
        self._spans = spans_of_stream(index.counts, draw)
        # What went before is not read again: only what waits in the buffer, and the rest.
        self._unread = self._read(sorted(self._order.waiting), self._order.num_admitted)
        self._buffer: dict[int, RawSample] = {}

    def take(self) -> RawSample:
        """Give out the next sample.

        Raises:
            IndexError: There is none.
        """
        self._fill()
        self.position += 1
        return self._buffer.pop(self._order.pop())

    def waiting(self) -> list[RawSample]:
        """What is in the buffer, and will be given out later."""
        self._fill()
        return [self._buffer[place] for place in self._order.waiting]

    def _fill(self) -> None:
        for _ in range(len(self._order.waiting) - len(self._buffer)):
            place, sample = next(self._unread)
            self._buffer[place] = sample

    def _read(self, waiting: list[int], start: int) -> Iterator[tuple[int, RawSample]]:
        """Read the samples at the places ``waiting`` and from ``start`` on; a shard at a time."""
        begin = 0
        for span in self._spans:
            stop = begin + span.stop - span.start
            places = [place for place in waiting if begin <= place < stop]
            wanted = [*places, *range(max(start, begin), stop)]
            if wanted:
                shift = span.start - begin
                for number, sample in read_samples(
                        self._index, span.shard, [place + shift for place in wanted]):
                    yield number - shift, sample
            begin = stop


def read_samples(index: ShardIndex, shard: int,
                 wanted: Iterable[int]) -> Iterator[tuple[int, RawSample]]:
    """Read some samples of a shard, in one pass: their numbers in the shard, and they themselves.

    All that are ``wanted``, in increasing order, come: what the shard does not have is a sample
    with a reason.
    """
    name, offset = index.names[shard], int(index.offsets[shard])
    wanted = iter(wanted)
    missing = next(wanted, None)
    num_read, reason = 0, ''
    try:
        with closing(_samples_of(index.url(shard))) as samples:
            for number, files in enumerate(samples):
                num_read += 1
                if number != missing:
                    continue
                key = files.pop('__key__')
                yield number, RawSample(number=offset + number, label=f'{name}::{key}', files={
                    ending: value for ending, value in files.items() if ending[:2] != '__'})
                missing = next(wanted, None)
                if missing is None:
                    return
    except Exception as error:  # tarfile, the file system and programs that fetch all have theirs
        # webdataset puts more behind the first of the arguments.
        detail = getattr(error, 'strerror', None) or next(iter(error.args), '')
        reason = f'the shard cannot be read ({type(error).__name__}: {detail})'
    reason = reason or f'the shard ends after {num_read} samples'
    while missing is not None:
        yield missing, RawSample(
            number=offset + missing, label=f'{name}::sample {missing}', reason=reason)
        missing = next(wanted, None)


def _samples_of(url: str) -> Generator[dict]:
    with needed_for('reading shards'):
        from webdataset.gopen import gopen
        from webdataset.tariterators import group_by_keys
    file: Any = gopen(url)  # of the kinds that it gives, one has no seek, and a stream needs none
    with file as stream, tarfile.open(fileobj=stream, mode='r|*') as tar:
        yield from group_by_keys(_files_of(tar, url))


def _files_of(tar: tarfile.TarFile, url: str) -> Iterator[dict]:
    for member in tar:
        # The holes of a sparse file take no room in the shard, but all of the memory.
        if member.issparse() or member.size > _LARGEST_FILE:
            raise ValueError(f'{member.name} has holes, or more than {_LARGEST_FILE} bytes')
        if member.isreg() and (file := tar.extractfile(member)):
            yield dict(fname=member.name, data=file.read(), __url__=url)
        # They grow without end. (The stub of tarfile does not know them.)
        tar.members = []  # pyrefly: ignore[missing-attribute]
