"""Which videos of a data set are held out: decided by their names, not by their places."""

import posixpath
from collections.abc import Iterable
from hashlib import sha256


def number_of(path: str) -> int:
    """A number below 2**48 that depends on the name of a video alone, on every machine.

    Examples:
        >>> number_of('a.mp4')
        253800601081184
    """
    name = posixpath.normpath(path.replace('\\', '/'))
    digest = sha256(name.encode('utf-8', 'surrogatepass')).digest()
    return int.from_bytes(digest[:6], 'big')


def place_of(path: str) -> float:
    """:func:`number_of` a video as a number in [0, 1).

    Examples:
        >>> place_of('a/./b.mp4') == place_of('a/b.mp4')
        True
    """
    return number_of(path) / 2**48


def held_out_below(paths: Iterable[str], share: float) -> float:
    """The number below which :func:`place_of` a video holds it out; ``paths`` in any order.

    That is ``share``, so that videos that are added move no other; but where fewer than two videos
    would be held out it is raised until two are, or one of two or three.

    Raises:
        ValueError: ``share`` is out of its range, or there are not two videos.
    """
    if not 0 < share < 1:
        raise ValueError(f'held_out_share must lie between 0 and 1, got {share}')
    places = sorted({place_of(path) for path in paths})
    if len(places) < 2:
        raise ValueError(f'of {len(places)} video none can be held out: two are needed at least')
    fewest = 2 if len(places) > 3 else 1
    return max(share, places[fewest])
