"""What the page shows: features, the model that searches them, and the videos they are of."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tvtsv2_mm.apis.clips import build_clip_transforms
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.page.errors import PageError
from tvtsv2_mm.apis.page.files import VideoFolder
from tvtsv2_mm.apis.page.stills import Stills
from tvtsv2_mm.apis.page.work import Crew, TextEncoder
from tvtsv2_mm.apis.search.queries import UNWANTED_WEIGHT, read_still, weighted_sum
from tvtsv2_mm.apis.search.searcher import Moment, Searcher
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.video.errors import SampleError
from tvtsv2_mm.video.spawned_reader import DecodingPool

# Of what somebody sends; a video of the folder may take as long as it did when it was embedded.
_EXAMPLE_DEADLINE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is looked for: the weighted sum of all that is named.

    Attributes:
        texts, unwanted: half of each unwanted one is taken away.
        rows: of the features: what is like these moments.
        example: the bytes of a video or a picture.
        weights: of the texts, the rows and the example; None: 1 each.
        folder: of the names of videos; '': all.
        per_video: videos instead of moments.
        top_k: how many at most.
    """

    texts: Sequence[str] = ()
    unwanted: Sequence[str] = ()
    rows: Sequence[int] = ()
    example: bytes | None = None
    weights: Sequence[float] | None = None
    folder: str = ''
    per_video: bool = False
    top_k: int = 20


@dataclass(frozen=True, kw_only=True)
class FoundMoment:
    """A moment, with where to play it and which row is like it."""

    moment: Moment
    row: int
    span: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """Moments, best first, and milliseconds that query and search took."""

    moments: list[FoundMoment]
    query_ms: float
    search_ms: float


class Library:
    """Searches in threads, of which each kind of work has its own.

    Args:
        searcher: of the features.
        inferencer: the model that they were made with; with ``texts_only`` no example can be sent.
        videos: the folder that the names are relative to.
    """

    def __init__(self, searcher: Searcher, inferencer: TVTSv2Inferencer,
                 videos: VideoFolder) -> None:
        self.searcher = searcher
        self.features = searcher.features
        self.inferencer = inferencer
        self.videos = videos
        self.rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.features.videos):
            self.rows.setdefault(name, []).append(row)
        self.folders = _count_folders(self.rows)
        cores = os.cpu_count() or 1
        self._texts = TextEncoder(inferencer.embed_texts)
        self._searches = Crew(max(cores, 2), waiting=128)
        self._examples = Crew(1, waiting=4)
        self.decoders = DecodingPool(2)
        self.stills = Stills(videos, self.decoders)

    async def find(self, wanted: Wanted) -> Found:
        """Find moments.

        Raises:
            PageError: nothing is looked for, or it cannot be.
        """
        started = time.perf_counter()
        query = await self._embed(wanted)
        embedded = time.perf_counter()
        # One more, as a moment is most like itself.
        count = wanted.top_k + len(wanted.rows)
        moments = await self._searches.run(self._search, query, count, wanted)
        own = set() if wanted.per_video else set(wanted.rows)
        found = [self._located(moment) for moment in moments]
        found = [one for one in found if not any(self._holds(one, row) for row in own)]
        return Found(moments=found[:wanted.top_k], query_ms=1e3 * (embedded - started),
                     search_ms=1e3 * (time.perf_counter() - embedded))

    def _search(self, query: np.ndarray, count: int, wanted: Wanted) -> list[Moment]:
        return self.searcher.search(query, count, per_video=wanted.per_video, folder=wanted.folder,
                                    speech=bool(wanted.texts))

    async def _embed(self, wanted: Wanted) -> np.ndarray:
        """The query: float32 (E,), l2-normalised."""
        if not wanted.texts and not wanted.rows and wanted.example is None:
            raise PageError(422, 'there is nothing to look for: give a text, a moment or a file')
        if wanted.folder and wanted.folder not in self.folders:
            raise PageError(404, 'there is no such folder of videos')
        if any(not 0 <= row < len(self.features.videos) for row in wanted.rows):
            raise PageError(404, 'there is no such moment: the features may have changed')
        parts = [*wanted.texts, *wanted.rows, *(() if wanted.example is None else ('example', ))]
        weights = [1.0] * len(parts) if wanted.weights is None else list(wanted.weights)
        if len(weights) != len(parts):
            raise PageError(422, f'{len(weights)} weights are given for {len(parts)} texts, '
                            'moments and files')
        texts = [*wanted.texts, *wanted.unwanted]
        embeds: list[np.ndarray] = []
        try:
            if texts:
                embeds.append(await self._texts.embed(texts))
            if wanted.rows:
                embeds.append(self.features.features[list(wanted.rows)])
            if wanted.example is not None:
                embeds.append(await self._examples.run(self._embed_example, wanted.example))
            found = np.concatenate(embeds)
            # As the weights stand, the unwanted behind all others.
            count = len(wanted.texts)
            order = [*range(count), *range(len(texts), len(found)), *range(count, len(texts))]
            return weighted_sum(
                found[order], [*weights, *[UNWANTED_WEIGHT] * len(wanted.unwanted)])
        except (SampleError, UserFileError) as error:
            reason = getattr(error, 'reason', None) or str(error)
            raise PageError(422, f'the file is no picture or video that can be read: {reason}'
                            ) from None
        except ValueError as error:
            raise PageError(422, str(error)) from None

    def _embed_example(self, example: bytes) -> np.ndarray:
        """A file that somebody sent: float32 (1, E), l2-normalised."""
        infer = self.inferencer
        if infer.texts_only:
            raise PageError(404, 'this server was started without search by pictures and videos')
        try:
            still = read_still(example)
        except UserFileError as error:
            raise PageError(422, str(error)) from None
        if still is not None:
            return infer.embed_videos([np.broadcast_to(
                still, (infer.num_frames, *still.shape))])
        opening = build_clip_transforms(infer.pipeline[:1])[0]
        with self.decoders.opened(
                'the file', data=example, backend=opening.backend, deadline=_EXAMPLE_DEADLINE_S,
                **asdict(opening.scaling)) as reader:
            return infer.embed_videos([reader])

    def _located(self, moment: Moment) -> FoundMoment:
        """Say of a moment where it is to be played: of a whole video, its best window."""
        row = moment.row
        if row is None:  # by its words alone: the window in their middle
            rows, spans = self.rows.get(moment.video, []), self.features.spans
            if not rows:
                row = -1
            elif spans is None or moment.span is None:
                row = rows[0]
            else:
                middles = spans[rows].mean(axis=1)
                row = rows[int(np.abs(middles - sum(moment.span) / 2).argmin())]
        span = moment.span
        if span is None and row >= 0:
            span = self.span_of(row)
        return FoundMoment(moment=moment, row=row, span=span)

    def span_of(self, row: int) -> tuple[float, float] | None:
        """Seconds at which a row of the features begins and ends; None: it is a whole video."""
        if self.features.spans is None:
            return None
        start, end = self.features.spans[row].tolist()
        return start, end

    def _holds(self, found: FoundMoment, row: int) -> bool:
        """Whether a moment is the one that was asked for."""
        if found.moment.video != self.features.videos[row]:
            return False
        if self.features.spans is None or found.span is None:
            return True
        start, end = self.features.spans[row]
        return found.span[0] <= start and end <= found.span[1]

    def check_name(self, name: str) -> None:
        """Refuse what is no name of a video that was embedded.

        Raises:
            PageError: it is none.
        """
        if name not in self.rows:
            raise PageError(404, 'there is no video of this name among the features')

    def info(self) -> dict[str, Any]:
        """What there is to find."""
        windows = self.features.meta.get('windows')
        return dict(videos=len(self.rows), moments=len(self.features.videos),
                    windows=windows if isinstance(windows, dict) else None,
                    speech=self.searcher.speech is not None,
                    examples=not self.inferencer.texts_only,
                    checkpoint=os.path.basename(str(self.features.meta.get('checkpoint', ''))))

    def start(self) -> None:
        """Have model and decoder ready before they are asked."""
        self._texts.begin(['a video'])
        self.stills.start()

    def close(self) -> None:
        """End threads and decoders."""
        self._texts.close()
        self._searches.close()
        self._examples.close()
        self.stills.close()
        self.decoders.close()


def _count_folders(names: Sequence[str] | dict[str, list[int]]) -> dict[str, int]:
    """How many videos lie in each folder and those below it, by its name."""
    count: Counter[str] = Counter()
    for name in names:
        folder = os.path.dirname(name)
        while folder and folder != '/':
            count[folder] += 1
            folder = os.path.dirname(folder)
    return dict(sorted(count.items()))
