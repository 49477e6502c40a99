"""Text-to-video and video-to-text retrieval."""

from collections import Counter
from collections.abc import Mapping, Sequence
from os.path import normpath
from typing import Any

import numpy as np

from tvtsv2_mm.evaluation.retrieval import (
    Ranks,
    average_precision,
    dual_softmax,
    own_videos,
    query_bank_norm,
    rank_guesses,
    rank_queries,
    similarities,
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

    With ``shared_texts`` equal texts of several videos are one query, which all of these videos
    answer (templates, names of actions): the best placed one counts, and ``t2v/mAP``, the mean
    average precision, tells of the others. Reads ``texts`` then.

    Args:
        shared_texts: take equal texts for one.
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
                 shared_texts: bool = False,
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
        self.shared_texts = shared_texts
        self.query_bank = query_bank
        self.query_bank_temperature = query_bank_temperature
        self.bank_texts: np.ndarray | None = None
        self.bank_videos: np.ndarray | None = None
        self.num_cut_bank_texts = 0
        self.dsl = dsl
        self.dsl_temperature = dsl_temperature

    def record(self, sample: Mapping[str, Any]) -> tuple[str | None, Sequence[str] | None,
                                                         np.ndarray, np.ndarray]:
        """Keep the name, the texts where they matter, and the embeddings."""
        video, texts = (self.read(sample, key) for key in ('video_embed', 'text_embeds'))
        if len(texts) == 0:
            raise ValueError(f'RetrievalMetric: {name_of(sample)} has no text')
        if not self.shared_texts:
            return sample.get('sample_id'), None, video, texts
        words = list(sample.get('texts') or ())
        if len(words) != len(texts):
            raise ValueError(f'RetrievalMetric: {name_of(sample)} has {len(words)} texts and '
                             f'{len(texts)} embeddings of texts; {self.remedy}')
        return sample.get('sample_id'), words, video, texts

    def summarize(self, results: list[tuple]) -> dict[str, float]:
        """Compute both directions over all videos.

        Raises:
            ValueError: two samples are the same, so that each would be a wrong answer of the other.
        """
        names, words, videos, texts = zip(*results, strict=True)
        for name, count in Counter(map(normpath, filter(None, names))).most_common(1):
            if count > 1:
                raise ValueError(f'RetrievalMetric: {count} samples are named {name!r}; put all '
                                 'captions of a video on one line, or give each line an "id"')
        owners = np.repeat(np.arange(len(results)), [len(own) for own in texts])
        videos, texts = np.stack(videos), np.concatenate(texts)
        right = own_videos(owners)
        if self.shared_texts:
            first: dict[str, int] = {}
            group = np.array([first.setdefault(text, len(first)) for own in words for text in own])
            texts = texts[np.unique(group, return_index=True)[1]]
            right = np.stack([right[group == own].any(axis=0) for own in range(len(first))])
        similarity = similarities(texts, videos)
        metrics = self._both_ways(similarity, similarity, right, '')
        if self.dsl:
            metrics |= self._both_ways(
                dual_softmax(similarity, self.dsl_temperature),
                dual_softmax(similarity.T, self.dsl_temperature).T, right, 'dsl/')
        if self.query_bank is not None:
            metrics |= self._with_query_bank(similarity, texts, videos, right)
        return metrics

    def _with_query_bank(self, similarity: np.ndarray, texts: np.ndarray, videos: np.ndarray,
                         right: np.ndarray) -> dict[str, float]:
        if self.bank_texts is None:
            raise RuntimeError(
                f'RetrievalMetric has query_bank={self.query_bank!r}, but nobody encoded it: put '
                "dict(type='QueryBankHook') into custom_hooks, or set query_bank=None")
        for_texts = query_bank_norm(
            similarity, similarities(self.bank_texts, videos), self.query_bank_temperature)
        metrics = self._texts('qb/', for_texts, right)
        if self.bank_videos is not None:
            for_videos = query_bank_norm(
                similarity.T, similarities(self.bank_videos, texts), self.query_bank_temperature).T
            metrics |= self._videos('qb/', for_videos, right)
        return metrics

    def _both_ways(self, for_texts: np.ndarray, for_videos: np.ndarray, right: np.ndarray,
                   prefix: str) -> dict[str, float]:
        return self._texts(prefix, for_texts, right) | self._videos(prefix, for_videos, right)

    def _texts(self, prefix: str, similarity: np.ndarray, right: np.ndarray) -> dict[str, float]:
        # A video is drawn with all its texts; a shared text is of no single video.
        units = np.arange(len(right)) if self.shared_texts else right.argmax(axis=1)
        metrics = self._figures(f'{prefix}t2v/', rank_queries(similarity, right),
                                rank_guesses(right), units)
        if self.shared_texts:
            name = f'{prefix}t2v/mAP'
            metrics[name] = self.share(name, *(
                average_precision(own, right) for own in (similarity, 0 * similarity)))
        return metrics

    def _videos(self, prefix: str, similarity: np.ndarray, right: np.ndarray) -> dict[str, float]:
        return self._figures(f'{prefix}v2t/', rank_queries(similarity.T, right.T),
                             rank_guesses(right.T), np.arange(right.shape[1]))

    def _figures(self, prefix: str, ranks: Ranks, guesses: Ranks,
                 units: np.ndarray) -> dict[str, float]:
        """The figures that some ranking could miss; R5 of five videos is 100 whatever the model.

        ``units`` is the index of what each query is drawn with for the interval.
        """
        most_wrong = int(guesses.tied.max())
        if not most_wrong:
            return {}
        metrics, counts, places = {}, np.bincount(units), ranks.expected
        for k in RECALLS:
            if k <= most_wrong:
                hits, chances = (np.bincount(units, own.hits(k)) for own in (ranks, guesses))
                metrics[f'{prefix}R{k}'] = self.share(f'{prefix}R{k}', hits, chances, counts)
        return metrics | {f'{prefix}MdR': float(np.median(places)),
                          f'{prefix}MnR': float(places.mean())}
