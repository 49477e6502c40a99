"""The list of the shards of a corpus: ``index.json``."""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from webdataset.gopen import gopen

KINDS = ('transcripts', 'captions')


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """Shards and how many samples each has.

    Attributes:
        kind: What is in them: 'transcripts' or 'captions'.
        names: Of the files.
        counts: Samples of each.
        place: Where they are: a folder or URL before the names, or an URL with ``{}`` for the name.
    """

    kind: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    place: str

    def __len__(self) -> int:
        return sum(self.counts)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Number of the first sample of each shard, int64."""
        return np.cumsum(self.counts) - self.counts

    def url(self, shard: int) -> str:
        """Where a shard is."""
        name = self.names[shard]
        return self.place.replace('{}', name) if '{}' in self.place else f'{self.place}/{name}'


def load_index(path: str, place: str | None = None) -> ShardIndex:
    """Read an index.

    Args:
        path: File or URL of an ``index.json``.
        place: Where the shards are, see ShardIndex; None looks beside the index.

    Raises:
        FileNotFoundError: It cannot be read.
        ValueError: It is no index of shards, or one without samples.
    """
    try:
        with gopen(path) as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f'there is no index of shards {path} (index): {error}. tools/data/'
                                'make_shards.py writes it when all shards are there') from error
    try:
        content = json.loads(text)
        names = tuple(str(shard['name']) for shard in content['shards'])
        counts = tuple(int(shard['samples']) for shard in content['shards'])
        kind = content['kind']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is no index of shards ({error!r})') from error
    if kind not in KINDS or min(counts, default=0) < 1:
        raise ValueError(f'{path}: an index has "kind" {" or ".join(KINDS)} and shards of at least '
                         f'1 sample, found {kind!r} and {sum(counts)} samples')
    if place is None:
        place = path.rpartition('/')[0] or '.'
    return ShardIndex(kind=kind, names=names, counts=counts, place=place.rstrip('/'))
