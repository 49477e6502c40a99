"""Parts of different videos that are nearly the same."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tvtsv2_mm.apis.features.shards import FeatureSet

# Black frames are like all others: of each window the nearest few are enough.
_MOST_ALIKE = 20
_VALUES_AT_ONCE = 2**25
_ROUNDING = 1e-6  # of the cosine of a vector with itself

Span = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """A part of one video that is nearly a part of another.

    Attributes:
        videos: both names, in the order of the features.
        spans: seconds at which each part begins and ends; None: the whole video.
        cosine: the mean over its windows.
    """

    videos: tuple[str, str]
    spans: tuple[Span, Span]
    cosine: float


def find_duplicates(features: FeatureSet, threshold: float = 0.95) -> list[Duplicate]:
    """Find near-duplicates among videos, or their windows.

    Pairs of windows of two videos with at least this cosine count, of each window its 20 nearest;
    pairs of windows that follow each other in both videos are one part.

    Args:
        features: of videos or windows.
        threshold: from -1 to 1.

    Returns:
        The longest first, then the most alike.

    Raises:
        ValueError: there is no such threshold, or no video.
    """
    if not features.videos:
        raise ValueError('there is no video to compare: all of them failed')
    if not -1 <= threshold <= 1:
        raise ValueError(f'threshold must be a cosine, from -1 to 1, got {threshold}')
    names = np.unique(np.asarray(features.videos), return_inverse=True)[1].ravel()
    pairs: dict[tuple[int, int], list[tuple[int, int, float]]] = defaultdict(list)
    for first, second, cosine in _pairs(features.features, names, threshold):
        pairs[names[first], names[second]].append((first, second, cosine))
    found = [_duplicate(features, run) for own in pairs.values() for run in _runs(own)]
    return sorted(found, key=lambda own: (-min(map(_length, own.spans)), -own.cosine))


def _pairs(embeds: np.ndarray, names: np.ndarray,
           threshold: float) -> Iterator[tuple[int, int, float]]:
    """Rows of two videos that are alike, the earlier first and each pair once."""
    known: set[tuple[int, int]] = set()
    step = max(_VALUES_AT_ONCE // max(len(embeds), 1), 1)
    for start in range(0, len(embeds), step):
        rows = np.arange(start, min(start + step, len(embeds)))
        cosines = embeds[rows] @ embeds.T
        cosines[names[rows, None] == names[None]] = -2
        alike = np.argwhere(cosines >= threshold - _ROUNDING)
        # Of many, the nearest.
        values: np.ndarray = cosines[alike[:, 0], alike[:, 1]]
        order = np.lexsort((-values, alike[:, 0]))
        alike, values = alike[order], values[order]
        rank = np.arange(len(alike)) - np.searchsorted(alike[:, 0], alike[:, 0])
        for (row, column), cosine in zip(
                alike[rank < _MOST_ALIKE].tolist(), values[rank < _MOST_ALIKE].tolist(),
                strict=True):
            pair = min(start + row, column), max(start + row, column)
            if pair not in known:
                known.add(pair)
                yield *pair, cosine


def _runs(pairs: list[tuple[int, int, float]]) -> Iterator[list[tuple[int, int, float]]]:
    """Pairs of two videos, cut where either of them leaves a row out."""
    open_runs: list[list[tuple[int, int, float]]] = []
    for pair in sorted(pairs):
        for run in open_runs:
            if any(pair[0] - first <= 1 and abs(pair[1] - second) <= 1
                   for first, second, _ in run[-2 * _MOST_ALIKE:]):
                run.append(pair)
                break
        else:
            open_runs.append([pair])
        for run in [run for run in open_runs if run[-1][0] < pair[0] - 1]:
            open_runs.remove(run)
            yield run
    yield from open_runs


def _duplicate(features: FeatureSet, run: list[tuple[int, int, float]]) -> Duplicate:
    sides = [sorted({first for first, _, _ in run}), sorted({second for _, second, _ in run})]
    spans: list[Span] = [None, None] if features.spans is None else [
        (float(features.spans[rows, 0].min()), float(features.spans[rows, 1].max()))
        for rows in sides]
    return Duplicate(videos=(features.videos[sides[0][0]], features.videos[sides[1][0]]),
                     spans=(spans[0], spans[1]),
                     cosine=float(np.mean([cosine for _, _, cosine in run])))


def _length(span: Span) -> float:
    return 0.0 if span is None else span[1] - span[0]
