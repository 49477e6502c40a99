"""Text-to-video and video-to-text retrieval."""

from collections import Counter
from collections.abc import Mapping
from os.path import normpath
from typing import Any

import numpy as np

from tvtsv2_mm.evaluation.retrieval import (
    Ranks,
    dual_softmax,
    own_videos,
    query_bank_norm,
    rank_guesses,
    similarities,
    text_to_video,
    video_to_text,
)
from tvtsv2_mm.registry import METRICS

from ._records import SampleMetric, name_of

RECALLS = (1, 5, 10, 50)


@METRICS.register_module()
class RetrievalMetric(SampleMetric):
    """Recall at 1, 5, 10, 50 (per cent), median and mean rank, both ways.

    Reads ``video_embed`` (E,) and ``text_embeds`` (n, E) of each video; a video may have several
    texts. Keys: ``t2v/R1`` ... ``t2v/MnR`` and ``v2t/...``; with ``dsl`` also ``dsl/t2v/...`` and
    ``dsl/v2t/...``, beside the raw ones and never in their place; with a query bank ``qb/t2v/...``
    (and ``qb/v2t/...`` where the bank has videos). Ties give the expected value
    over all orders of the tied. Recalls that cannot fail are left out.

    Args:
        dsl: also report figures after a dual softmax.
        dsl_temperature: of the dual softmax over cosine similarities.
        query_bank: caption file of training videos for QB-Norm. QueryBankHook, then needed,
            encodes its texts into ``bank_texts`` and, if it is told to, its videos into
            ``bank_videos``.
        query_bank_temperature: of QB-Norm's softmax over cosine similarities.
        **kwargs: of mmengine's ``BaseMetric``.
    """

    default_prefix = ''

    def __init__(self,
                 *,
                 dsl: bool = False,
                 dsl_temperature: float = 0.01,
                 query_bank: str | None = None,
                 query_bank_temperature: float = 0.05,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in (('dsl_temperature', dsl_temperature),
                            ('query_bank_temperature', query_bank_temperature)):
            if value <= 0:
                raise ValueError(f'{name} must be positive, not {value}')
        self.query_bank = query_bank
        self.query_bank_temperature = query_bank_temperature
        self.bank_texts: np.ndarray | None = None
        self.bank_videos: np.ndarray | None = None
        self.num_cut_bank_texts = 0
        self.dsl = dsl
        self.dsl_temperature = dsl_temperature

    def record(self, sample: Mapping[str, Any]) -> tuple[str | None, np.ndarray, np.ndarray]:
        """Keep the name and the embeddings."""
        video, texts = (self.read(sample, key) for key in ('video_embed', 'text_embeds'))
        if len(texts) == 0:
            raise ValueError(f'RetrievalMetric: {name_of(sample)} has no text')
        return sample.get('sample_id'), video, texts

    def summarize(self, results: list[tuple]) -> dict[str, float]:
        """Compute both directions over all videos.

        Raises:
            ValueError: two samples are the same, so that each would be a wrong answer of the other.
        """
        names, videos, texts = zip(*results, strict=True)
        for name, count in Counter(map(normpath, filter(None, names))).most_common(1):
            if count > 1:
                raise ValueError(f'RetrievalMetric: {count} samples are named {name!r}; put all '
                                 'captions of a video on one line, or give each line an "id"')
        owners = np.repeat(np.arange(len(results)), [len(own) for own in texts])
        videos, texts = np.stack(videos), np.concatenate(texts)
        similarity = similarities(texts, videos)
        metrics = self._both_ways(similarity, similarity, owners, '')
        if self.dsl:
            metrics |= self._both_ways(
                dual_softmax(similarity, self.dsl_temperature),
                dual_softmax(similarity.T, self.dsl_temperature).T, owners, 'dsl/')
        if self.query_bank is not None:
            metrics |= self._with_query_bank(similarity, texts, videos, owners)
        return metrics

    def _with_query_bank(self, similarity: np.ndarray, texts: np.ndarray, videos: np.ndarray,
                         owners: np.ndarray) -> dict[str, float]:
        if self.bank_texts is None:
            raise RuntimeError(
                f'RetrievalMetric has query_bank={self.query_bank!r}, but nobody encoded it: put '
                "dict(type='QueryBankHook') into custom_hooks, or set query_bank=None")
        for_texts = query_bank_norm(
            similarity, similarities(self.bank_texts, videos), self.query_bank_temperature)
        metrics = self._texts('qb/', for_texts, owners)
        if self.bank_videos is not None:
            for_videos = query_bank_norm(
                similarity.T, similarities(self.bank_videos, texts), self.query_bank_temperature).T
            metrics |= self._videos('qb/', for_videos, owners)
        return metrics

    def _both_ways(self, for_texts: np.ndarray, for_videos: np.ndarray, owners: np.ndarray,
                   prefix: str) -> dict[str, float]:
        return (self._texts(prefix, for_texts, owners)
                | self._videos(prefix, for_videos, owners))

    def _texts(self, prefix: str, similarity: np.ndarray, owners: np.ndarray) -> dict[str, float]:
        return self._figures(f'{prefix}t2v/', text_to_video(similarity, owners),
                             rank_guesses(own_videos(owners)), owners)

    def _videos(self, prefix: str, similarity: np.ndarray, owners: np.ndarray) -> dict[str, float]:
        return self._figures(f'{prefix}v2t/', video_to_text(similarity, owners),
                             rank_guesses(own_videos(owners).T), np.arange(owners.max() + 1))

    def _figures(self, prefix: str, ranks: Ranks, guesses: Ranks,
                 videos: np.ndarray) -> dict[str, float]:
        """The figures that some ranking could miss; R5 of five videos is 100 whatever the model.

        ``videos`` is the index of each query's.
        """
        most_wrong = int(guesses.tied.max())
        if not most_wrong:
            return {}
        metrics, counts, places = {}, np.bincount(videos), ranks.expected
        for k in RECALLS:
            if k <= most_wrong:
                hits, chances = (np.bincount(videos, own.hits(k)) for own in (ranks, guesses))
                metrics[f'{prefix}R{k}'] = self.share(f'{prefix}R{k}', hits, chances, counts)
        return metrics | {f'{prefix}MdR': float(np.median(places)),
                          f'{prefix}MnR': float(places.mean())}
