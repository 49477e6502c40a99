"""How far a figure would move with other videos: intervals by the bootstrap over videos."""

import math
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
_REPLICATES = 2000
_SEED = 0
# Of replicates x kinds of videos that are drawn at once.
_MOST_NUMBERS = 2**23

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of hits, in per cent: the figure, its 95 % interval, and what guessing gives."""

    value: float
    interval: Interval
    chance: float


def share_of_hits(hits: np.ndarray, chances: np.ndarray | float,
                  counts: np.ndarray | None = None) -> Share:
    """A share of hits over queries, of which each video has some.

    Args:
        hits: (V,) of each video, the sum over its queries of the probability that one is a hit.
        chances: the same of guesses.
        counts: (V,) queries of each video; one by default.
    """
    total = len(hits) if counts is None else counts.sum()
    low, high = bootstrap_interval(hits, counts)
    return Share(value=100 * float(hits.sum() / total), interval=(100 * low, 100 * high),
                 chance=100 * float(np.broadcast_to(chances, len(hits)).sum() / total))


def bootstrap_interval(hits: np.ndarray, counts: np.ndarray | None = None) -> Interval:
    """95 % interval of a mean over queries, of which each video has some (percentile bootstrap).

    Videos are drawn anew, with all their queries, for those of a video are alike; what they are
    compared with, the classes or the candidates, stays. Videos of equal hits and counts are one
    kind, and how often each kind comes is one multinomial draw: time and memory grow with the
    kinds. The seed is fixed: the same hits give the same interval, in any order. Where all videos
    are hit, or none, it has no width, which says nothing.

    Args:
        hits: (V,) of each video, the sum over its queries of the probability that one is a hit.
        counts: (V,) queries of each video; one by default.

    Examples:
        >>> low, high = bootstrap_interval(np.repeat([0.0, 1.0], [60, 40]))
        >>> round(low, 1), round(high, 1)
        (0.3, 0.5)
    """
    counts = np.ones(len(hits)) if counts is None else counts
    kinds, videos = np.unique(np.stack([hits, counts], axis=1), axis=0, return_counts=True)
    rng = np.random.default_rng(_SEED)
    at_once = max(_MOST_NUMBERS // len(kinds), 1)
    sums = np.concatenate([
        rng.multinomial(len(hits), videos / len(hits), min(at_once, _REPLICATES - done)) @ kinds
        for done in range(0, _REPLICATES, at_once)])
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def interval_of_difference(first: tuple[float, Interval],
                           second: tuple[float, Interval]) -> Interval:
    """Interval of a difference of two figures, each given with its own (Newcombe 1998, method 10).

    As if they were of different videos: of the same ones it is rather too wide.

    Examples:
        >>> interval_of_difference((50.0, (46.0, 53.0)), (40.0, (37.0, 44.0)))
        (4.343145750507619, 14.242640687119284)
    """
    (one, (one_low, one_high)), (other, (other_low, other_high)) = first, second
    return (one - other - math.hypot(one - one_low, other_high - other),
            one - other + math.hypot(one_high - one, other - other_low))
