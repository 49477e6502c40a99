"""From the windows nearest to a query to moments: neighbours merged, sight and speech joined."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from tvtsv2_mm.apis.features.shards import FeatureSet
from tvtsv2_mm.apis.search.vectors import ExactIndex

# Of windows that lie near a query, so many are looked at for each moment that is wanted.
_WINDOWS_PER_MOMENT = 10
_FEWEST_WINDOWS = 100

# Of each kind of rows, so many tell how cosines with a query are spread.
_ROWS_LOOKED_AT = 20_000

_ROUNDING = 1e-6  # seconds


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A part of a video that was found.

    Attributes:
        video: its name, as the features have it.
        span: seconds at which it begins and ends; None: the whole video is meant.
        score: by which moments are ranked: the cosine, or where speech is searched too, by how many
            standard deviations it lies above the mean, the sum of both.
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
        index, speech_index: what finds the nearest of each (see ``open_index``); None: by
            comparing all.

    Raises:
        ValueError: there is nothing to find.
    """

    def __init__(self, features: FeatureSet, speech: FeatureSet | None = None, *,
                 index: ExactIndex | None = None, speech_index: ExactIndex | None = None) -> None:
        if not features.videos:
            raise ValueError('there is no video to find: all of them failed')
        self.features = features
        self.speech = speech if speech and speech.videos else None
        self._seen = _Rows(features, index)
        self._said = _Rows(self.speech, speech_index) if self.speech else None

    def search(self, query: np.ndarray, top_k: int = 10, *, per_video: bool = False,
               folder: str = '', speech: bool = True) -> list[Moment]:
        """Find the moments nearest to a query.

        The nearest windows are looked at, ten for each moment that is wanted and at least a
        hundred; those that touch are one moment, with the score of the best. Passages of speech
        join the moments that they overlap. Cosines with texts are larger than those with videos,
        so both count by where they lie among all cosines of their kind: of few passages none lies
        far above the others, unless it is meant.

        Args:
            query: float32 (E,), l2-normalised.
            top_k: how many moments.
            per_video: one result for each video, with the score of its best window.
            folder: of the videos' names, that alone is searched ('travel/2024'); '': all.
            speech: whether what is said is searched, where it is known: not for a query that is no
                text.

        Returns:
            Best first.

        Raises:
            ValueError: ``top_k`` is not positive, no video is in the folder, the query is of
                another model, or a cosine is not finite.
        """
        if top_k < 1:
            raise ValueError(f'top_k must be at least 1, got {top_k}')
        if folder and not len(self._seen.in_folder(folder)):
            raise ValueError(f'no video of the features is in a folder {folder}')
        said_by = self._said if speech else None
        scales = said_by and (self._seen.scale(query), said_by.scale(query))
        count = max(_WINDOWS_PER_MOMENT * top_k, _FEWEST_WINDOWS)
        while True:
            found, most = self._seen.moments(query, count, per_video, folder)
            if said_by and scales:
                by_sight, by_words = scales
                said, most_said = said_by.moments(query, count, per_video, folder)
                found = join(map(by_sight, found),
                             [moment for moment in map(by_words, said) if moment.score >= 0])
                most = max(most, most_said)
            if len(found) >= top_k or count >= most:
                return found[:top_k]
            count *= 2


class _Rows:
    """Finds moments among one kind of features."""

    def __init__(self, features: FeatureSet, index: ExactIndex | None) -> None:
        self._features = features
        self._index = index or ExactIndex(features.features)
        names, self._video_of = np.unique(np.asarray(features.videos), return_inverse=True)
        self._names: list[str] = names.tolist()
        self.in_folder = lru_cache(16)(self._rows_in)  # users stay in a folder for some queries

    def moments(self, query: np.ndarray, count: int, per_video: bool,
                folder: str) -> tuple[list[Moment], int]:
        """The nearest, those that touch as one, best first; and how many rows there are."""
        rows = self.in_folder(folder) if folder else None
        [found], [cosines] = self._index.nearest(query[None], count, rows)
        most = len(self._features.videos if rows is None else rows)
        return merge(map(partial(self._moment, per_video), found.tolist(),
                         cosines.tolist())), most

    def scale(self, query: np.ndarray) -> Callable[[Moment], Moment]:
        """What gives a moment a score that can be compared with those of the other kind."""
        self._index.check(query[None])
        every = -(-len(self._features.features) // _ROWS_LOOKED_AT)
        cosines = self._features.features[::every] @ query
        mean, spread = float(cosines.mean()), max(float(cosines.std()), 1e-6)
        return lambda moment: replace(moment, score=(moment.score - mean) / spread)

    def _rows_in(self, folder: str) -> np.ndarray:
        start = folder.rstrip('/') + '/'
        return np.flatnonzero(np.array([name.startswith(start) for name in self._names])
                              [self._video_of])

    def _moment(self, per_video: bool, row: int, cosine: float) -> Moment:
        features = self._features
        span = None
        if features.spans is not None and not per_video:
            span = float(features.spans[row, 0]), float(features.spans[row, 1])
        of_video = dict(video=features.videos[row], span=span, score=cosine)
        if features.texts is None:
            return Moment(**of_video, cosine=cosine, row=row)
        return Moment(**of_video, text=features.texts[row], text_cosine=cosine)


def merge(moments: Iterable[Moment]) -> list[Moment]:
    """Make one of moments that touch, with all that is known of the best of them; best first."""
    return _best_first(_spanning(group, max(group, key=_score)) for group in _groups(moments))


def join(seen: Iterable[Moment], said: Iterable[Moment]) -> list[Moment]:
    """Join what was found by sight and by words, whose scores can be compared; best first."""
    joined = []
    for group in _groups([*seen, *said]):
        parts = [max(part, key=_score) for part in (
            [moment for moment in group if moment.text is None],
            [moment for moment in group if moment.text is not None]) if part]
        first, last = parts[0], parts[-1]
        joined.append(_spanning(group, replace(
            first, text=last.text, text_cosine=last.text_cosine,
            score=sum(map(_score, parts)))))
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
