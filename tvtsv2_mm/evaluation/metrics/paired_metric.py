"""Videos and texts that are compared with a few of their like alone: order-sensitive benchmarks."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from math import comb
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log

from tvtsv2_mm.evaluation.retrieval import (
    average_precision,
    rank_guesses,
    rank_queries,
    similarities,
)
from tvtsv2_mm.registry import METRICS

from ._records import SampleMetric, name_of
from .multiple_choice_accuracy import expected_hit


class _Video(NamedTuple):
    """What is kept of a video."""

    texts: tuple[str, ...]  # the candidates
    label: int  # which of them is its own
    video_embed: np.ndarray  # (E,)
    text_embeds: np.ndarray  # (n, E)


@METRICS.register_module()
class PairedMetric(SampleMetric):
    """Retrieval both ways within groups: the videos that choose from the same candidates.

    Reads ``texts`` (the n candidates), ``gt_label`` (which is the video's own), ``text_embeds``
    (n, E) and ``video_embed`` (E,) of each video. Samples with the same candidates in the same
    order are a group. All in per cent:

    ``v2t/R1``: videos whose own text is the nearest of the candidates; chance 100 / n.
    ``t2v/R1``: texts whose nearest video in the group is one of theirs; chance for two videos 50.

    Where in most groups no text has two videos of its own, of the complete pairs (two videos, two
    texts), with a warning of groups that are none:

    ``text_score``: pairs in which both videos have their own text nearer; chance 25.
    ``video_score``: pairs in which both texts have their own video nearer; chance 25.
    ``group_score``: pairs of which both hold; chance 100 / 6. (Both similarities that belong
    together are then above both that do not: so 2! 2! of the 4! orders of the four.)

    Else ``t2v/mAP``, the mean average precision, whose chance depends on how many videos a text
    has. What is of texts is the mean of a group's texts, and of groups the mean by their number of
    videos, so as CiA-Retrieval has it. Texts for which all videos of a group are right, or none,
    have nothing to find. Equal similarities count by the expected value over their orders, so that
    embeddings that are all alike give chance. Intervals draw videos (v2t), groups, and of pairs
    whole pairs.

    The three scores are those of Winoground (Thrush et al., CVPR 2022) and Vinoground (Zhang et
    al., arXiv 2410.02763). A model that is blind to order gets a text_score of 0 where a pair has
    the same frames in another order (it chooses the same text twice), but a v2t/R1 of 50.
    """

    default_prefix = 'paired'

    def record(self, sample: Mapping[str, Any]) -> _Video:
        """Keep the candidates, which is right, and the embeddings.

        Raises:
            ValueError: there is nothing to choose from, or the label is of no candidate.
        """
        video, embeds = (self.read(sample, key) for key in ('video_embed', 'text_embeds'))
        label, texts = self.read_label(sample), tuple(sample.get('texts') or ())
        if len(texts) != len(embeds):
            raise ValueError(f'PairedMetric: {name_of(sample)} has {len(texts)} texts and '
                             f'{len(embeds)} embeddings of texts; {self.remedy}')
        if len(texts) < 2 or not 0 <= label < len(texts):
            raise ValueError(f'PairedMetric: {name_of(sample)} has {len(texts)} candidates, and '
                             f'its own is said to be number {label}: it needs two or more, and '
                             'that one of them ("captions" and "answer" of the annotation)')
        return _Video(texts, label, video, embeds)

    def summarize(self, results: list[tuple]) -> dict[str, float]:
        """Average over the groups, by their number of videos."""
        groups: dict[tuple[str, ...], list[_Video]] = defaultdict(list)
        for own in map(_Video._make, results):  # mmengine makes plain tuples of them
            groups[own.texts].append(own)
        found = [_judge(members) for members in groups.values()]
        paired = 2 * sum(own.one_each for own in found) > len(found)
        metrics = {'v2t/R1': self._of_videos(found, paired)}
        asking = [own for own in found if own.t2v]
        videos = np.array([len(own.v2t) for own in asking])
        for name in ('t2v/R1', 't2v/mAP')[:1 if paired else 2] if asking else ():
            hits, chances = np.array([own.t2v[name] for own in asking]).T
            metrics[name] = self.share(name, hits * videos, chances * videos, videos)
        scores = [own.scores for own in found if own.scores]
        if paired and scores:
            metrics |= {name: self.share(name, np.array(hits), chance) for (name, chance), hits in
                        zip(_CHANCES.items(), zip(*scores, strict=True), strict=True)}
            if len(scores) < len(found):
                print_log(f'PairedMetric: {len(found) - len(scores)} of {len(found)} groups are no '
                          'pairs (a video is missing, or the same texts come twice), and count for '
                          'no score', logger='current', level=logging.WARNING)
        return metrics

    def _of_videos(self, found: list['_Judged'], paired: bool) -> float:
        """Videos that find their text; those of a pair are drawn together."""
        hits = [own.v2t for own in found] if paired else [
            hit for own in found for hit in own.v2t[:, None]]
        counts = np.array([len(own) for own in hits])
        chances = np.concatenate([np.full(len(own.v2t), own.guess) for own in found])
        chances = np.add.reduceat(chances, np.cumsum(counts) - counts)
        return self.share('v2t/R1', np.array([own.sum() for own in hits]), chances, counts)


_CHANCES = {'text_score': 1 / 4, 'video_score': 1 / 4, 'group_score': 1 / 6}


class _Judged(NamedTuple):
    """What came of a group."""

    one_each: bool  # no text has two videos
    v2t: np.ndarray  # (V,) the hits of the videos
    guess: float  # the same of guesses
    t2v: dict[str, tuple[float, float]]  # of the texts, and of guesses; nothing to find: empty
    scores: tuple[float, float, float] | None  # of a pair


def _judge(members: list[_Video]) -> _Judged:
    similarity = similarities(np.stack([own.video_embed for own in members]),
                              members[0].text_embeds)
    labels = np.array([own.label for own in members])
    right = labels == np.arange(similarity.shape[1])[:, None]  # (texts, videos)
    num_right = right.sum(axis=1)
    asks = (num_right > 0) & (num_right < len(members))
    t2v: dict[str, tuple[float, float]] = {}
    if asks.any():
        scores, right = similarity.T[asks], right[asks]
        t2v = {'t2v/R1': (float(rank_queries(scores, right).hits(1).mean()),
                          float(rank_guesses(right).hits(1).mean())),
               't2v/mAP': (float(average_precision(scores, right).mean()),
                           float(average_precision(0 * scores, right).mean()))}
    return _Judged(
        one_each=bool((num_right <= 1).all()),
        v2t=np.array([expected_hit(own, label, 1)
                      for own, label in zip(similarity, labels, strict=True)]),
        guess=1 / similarity.shape[1],
        t2v=t2v,
        scores=_pair_scores(similarity[np.argsort(labels)])
        if num_right.tolist() == [1, 1] else None)


def _pair_scores(similarity: np.ndarray) -> tuple[float, float, float]:
    """Expected text, video and group score of (2, 2) videos and texts, the right ones diagonal.

    Examples:
        >>> _pair_scores(np.array([[3., 1.], [4., 5.]]))
        (1.0, 0.0, 0.0)
        >>> _pair_scores(np.zeros((2, 2)))
        (0.25, 0.25, 0.16666666666666666)
    """
    text, video = (float(np.prod([expected_hit(own, label, 1) for label, own in enumerate(rows)]))
                   for rows in (similarity, similarity.T))
    own, other = similarity.diagonal(), similarity[[0, 1], [1, 0]]
    lowest = own.min()
    tied = int((own == lowest).sum()), int((other == lowest).sum())
    group = 1 / comb(sum(tied), tied[0]) if other.max() <= lowest else 0.0
    return text, video, group

