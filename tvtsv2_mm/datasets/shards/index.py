"""The list of the shards of a corpus: ``index.json``."""

import json
import re
import shlex
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tvtsv2_mm.datasets.annotations import CHECKS
from tvtsv2_mm.utils.errors import one_error
from tvtsv2_mm.utils.extras import needed_for

# webdataset opens places by their scheme, "pipe:" ones in a shell: names must be nothing but names.
_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*')
_MOST_SAMPLES = 10**7


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """Shards and how many samples each has.

    Attributes:
        kind: What is in them: 'transcripts' or 'captions'.
        names: Of the files: letters, digits, ``._-``, and ``/`` between folders.
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
        name = shlex.quote(self.names[shard])
        return self.place.replace('{}', name) if '{}' in self.place else f'{self.place}/{name}'


def load_index(path: str, place: str | None = None) -> ShardIndex:
    """Read an index, from the file or URL of an ``index.json``.

    The shards are at ``place``, see ShardIndex; None looks beside the index.

    Raises:
        FileNotFoundError: It cannot be read.
        ValueError: It is no index of shards, or one without samples.
    """
    with needed_for('reading shards'):
        from webdataset.gopen import gopen
    try:
        with gopen(path) as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f'there is no index of shards {path} (index): {error}. tools/data/'
                                'make_shards.py writes it when all shards are there') from error
    with one_error(f'{path} is no index of shards'):
        content = json.loads(text)
        names = tuple(shard['name'] for shard in content['shards'])
        counts = tuple(shard['samples'] for shard in content['shards'])
        kind = content['kind']
        if kind not in tuple(CHECKS):  # compared, not hashed: it may be a list
            raise ValueError(f'its "kind" is {kind!r}, not {" or ".join(CHECKS)}')
        for name, count in zip(names, counts, strict=True):
            if not (isinstance(name, str) and _NAME.fullmatch(name)):
                raise ValueError(f'a shard is called {name!r}: a name has letters, digits and ._-')
            if type(count) is not int or not 1 <= count <= _MOST_SAMPLES:
                raise ValueError(f'{name} has {count!r} samples, not 1 to {_MOST_SAMPLES}')
        if not names:
            raise ValueError('it lists no shard')
    if place is None:
        place = path.rpartition('/')[0] or '.'
    return ShardIndex(kind=kind, names=names, counts=counts, place=place.rstrip('/'))
