"""From the windows nearest to a query to moments: neighbours merged, sight and speech joined."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tvtsv2_mm.apis.features.shards import FeatureSet
from tvtsv2_mm.apis.search.vectors import nearest

# Of windows that lie near a query, so many are looked at for each moment that is wanted.
_WINDOWS_PER_MOMENT = 10
_FEWEST_WINDOWS = 100

# Ranks are joined as 1 / (60 + rank), summed (reciprocal rank fusion, Cormack et al. 2009).
_RANK_OFFSET = 60

_ROUNDING = 1e-6  # seconds


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A part of a video that was found.

    Attributes:
        video: its name, as the features have it.
        span: seconds at which it begins and ends; None: the whole video is meant.
        score: by which moments are ranked: the cosine, or where speech is searched too, the sum of
            1 / (60 + rank) of both.
        cosine: of the query with the nearest window; None: it was found by its words alone.
        text: what is said there, of all passages the nearest one; None: none is near.
        text_cosine: of the query with that.
        row: of the nearest window among the features; None: it was found by its words alone.
    """

    video: str
    span: tuple[float, float] | None
    score: float
    cosine: float | None = None
    text: str | None = None
    text_cosine: float | None = None
    row: int | None = None


class Searcher:
    """Searches features, and what is said if that was embedded too.

    Args:
        features: of videos or their windows.
        speech: of passages of their transcripts.

    Raises:
        ValueError: there is nothing to find.
    """

    def __init__(self, features: FeatureSet, speech: FeatureSet | None = None) -> None:
        if not features.videos:
            raise ValueError('there is no video to find: all of them failed')
        self.features = features
        self.speech = speech if speech and speech.videos else None

    def search(self, query: np.ndarray, top_k: int = 10, *, per_video: bool = False,
               folder: str = '') -> list[Moment]:
        """Find the moments nearest to a query.

        The nearest windows are looked at, ten for each moment that is wanted and at least a
        hundred; those that touch are one moment, with the score of the best. Passages of speech
        join the moments that they overlap.

        Args:
            query: float32 (E,), l2-normalised.
            top_k: how many moments.
            per_video: one result for each video, with the score of its best window.
            folder: of the names of videos ('a/b'), to which the results are confined; '': all.

        Returns:
            Best first.

        Raises:
            ValueError: ``top_k`` is not positive, the query is of another model, or a cosine is not
                finite.
        """
        if top_k < 1:
            raise ValueError(f'top_k must be at least 1, got {top_k}')
        if folder:
            return self._search_below(folder, query, top_k, per_video)
        count = max(_WINDOWS_PER_MOMENT * top_k, _FEWEST_WINDOWS)
        while True:
            found = self._seen(query, count, per_video)
            if self.speech is not None:
                found = join(found, self._said(query, count, per_video))
            if len(found) >= top_k or count >= len(self.features.videos):
                return found[:top_k]
            count *= 2

    def _search_below(self, folder: str, query: np.ndarray, top_k: int,
                      per_video: bool) -> list[Moment]:
        rows = _rows_below(self.features, folder)
        if not len(rows):
            return []
        speech = None if self.speech is None else _taken(
            self.speech, _rows_below(self.speech, folder))
        found = Searcher(_taken(self.features, rows), speech).search(
            query, top_k, per_video=per_video)
        return [moment if moment.row is None else replace(moment, row=int(rows[moment.row]))
                for moment in found]

    def _seen(self, query: np.ndarray, count: int, per_video: bool) -> list[Moment]:
        [rows], [cosines] = nearest(self.features.features, query[None], count)
        return merge(self._moments(self.features, rows, cosines, per_video))

    def _said(self, query: np.ndarray, count: int, per_video: bool) -> list[Moment]:
        assert self.speech is not None
        [rows], [cosines] = nearest(self.speech.features, query[None], count)
        texts = self.speech.texts or ()
        return merge(replace(moment, cosine=None, row=None, text=texts[row], text_cosine=cosine)
                     for moment, row, cosine in zip(
                         self._moments(self.speech, rows, cosines, per_video), rows.tolist(),
                         cosines.tolist(), strict=True))

    @staticmethod
    def _moments(features: FeatureSet, rows: np.ndarray, cosines: np.ndarray,
                 per_video: bool) -> list[Moment]:
        """Each row as a moment."""
        spans: Sequence = [None] * len(rows)
        if features.spans is not None and not per_video:
            spans = list(map(tuple, features.spans[rows].tolist()))
        return [Moment(video=features.videos[row], span=span, score=cosine, cosine=cosine, row=row)
                for row, span, cosine in zip(rows.tolist(), spans, cosines.tolist(), strict=True)]


def _rows_below(features: FeatureSet, folder: str) -> np.ndarray:
    return np.array([row for row, video in enumerate(features.videos)
                     if video.startswith(f'{folder}/')], np.int64)


def _taken(features: FeatureSet, rows: np.ndarray) -> FeatureSet:
    return replace(
        features, videos=[features.videos[row] for row in rows], features=features.features[rows],
        keys=features.keys[rows], spans=None if features.spans is None else features.spans[rows],
        texts=None if features.texts is None else [features.texts[row] for row in rows])


def merge(moments: Iterable[Moment]) -> list[Moment]:
    """Make one of moments that touch, with all that is known of the best of them; best first."""
    return _best_first(_spanning(group, max(group, key=_score)) for group in _groups(moments))


def join(seen: Sequence[Moment], said: Sequence[Moment]) -> list[Moment]:
    """Join what was found by sight and by words, each best first, by their ranks; best first."""
    ranks = {id(moment): rank for found in (seen, said) for rank, moment in enumerate(found, 1)}
    joined = []
    for group in _groups([*seen, *said]):
        parts = [max(part, key=_score) for part in (
            [moment for moment in group if moment.text is None],
            [moment for moment in group if moment.text is not None]) if part]
        first, last = parts[0], parts[-1]
        joined.append(_spanning(group, replace(
            first, text=last.text, text_cosine=last.text_cosine,
            score=sum(1 / (_RANK_OFFSET + ranks[id(part)]) for part in parts))))
    return _best_first(joined)


def _groups(moments: Iterable[Moment]) -> Iterator[list[Moment]]:
    """Moments that touch, each group whole."""
    by_video: dict[str, list[Moment]] = defaultdict(list)
    for moment in moments:
        by_video[moment.video].append(moment)
    for own in by_video.values():
        own.sort(key=_start)
        group, end = [own[0]], _end(own[0])
        for moment in own[1:]:
            if _start(moment) <= end + _ROUNDING:
                group.append(moment)
                end = max(end, _end(moment))
            else:
                yield group
                group, end = [moment], _end(moment)
        yield group


def _spanning(group: Sequence[Moment], best: Moment) -> Moment:
    return best if best.span is None else replace(
        best, span=(min(map(_start, group)), max(map(_end, group))))


def _start(moment: Moment) -> float:
    return 0.0 if moment.span is None else moment.span[0]


def _end(moment: Moment) -> float:
    return float('inf') if moment.span is None else moment.span[1]


def _score(moment: Moment) -> float:
    return moment.score


def _best_first(moments: Iterable[Moment]) -> list[Moment]:
    return sorted(moments, key=_score, reverse=True)
