"""An index that says for which draw of an epoch it stands."""

from typing import Any


class DrawnIndex(int):
    """Index of a sample, together with what its randomness is seeded with.

    A loader worker is given indices and knows nothing else of the run: neither the epoch nor how
    many workers there are. So the sampler sends along what the worker needs, and the same seed
    gives the same sample whichever worker makes it. Wrappers of data sets compute with the index
    (ConcatDataset subtracts, RepeatDataset takes the remainder); the draw stays what it is.

    Args:
        value: The index.
        draw: Of map-style data sets ``(seed, epoch, index)``, of shards a ``ShardDraw``.

    Examples:
        >>> index = DrawnIndex(12, (0, 3, 12))
        >>> (index - 10) % 5, (index - 10).draw
        (2, (0, 3, 12))
    """

    draw: Any

    def __new__(cls, value: int, draw: Any) -> 'DrawnIndex':
        """Make the index; ``int`` is made here, not in ``__init__``."""
        index = super().__new__(cls, value)
        index.draw = draw
        return index

    def __reduce__(self) -> tuple:
        return DrawnIndex, (int(self), self.draw)

    def __add__(self, other: int) -> 'DrawnIndex':
        return DrawnIndex(int(self) + other, self.draw)

    def __sub__(self, other: int) -> 'DrawnIndex':
        return DrawnIndex(int(self) - other, self.draw)

    def __mod__(self, other: int) -> 'DrawnIndex':
        return DrawnIndex(int(self) % other, self.draw)
