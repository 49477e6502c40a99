"""Text-to-video and video-to-text retrieval."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tvtsv2_mm.evaluation.retrieval import dual_softmax, text_to_video, video_to_text
from tvtsv2_mm.registry import METRICS

from ._records import SampleMetric, name_of, read

REMEDY = 'the pipeline needs TokenizeText, and the model a neck'


@METRICS.register_module()
class RetrievalMetric(SampleMetric):
    """Recall at 1, 5, 10, 50 (per cent), median and mean rank, both ways.

    Reads ``video_embed`` (E,) and ``text_embeds`` (n, E) of each video; a video may have several
    texts. Keys: ``t2v/R1`` ... ``t2v/MnR`` and ``v2t/...``; with ``dsl`` also ``dsl/t2v/...`` and
    ``dsl/v2t/...``, beside the raw ones and never in their place. Ties give the expected value
    over all orders of the tied.

    Args:
        dsl: also report figures after a dual softmax.
        dsl_temperature: of the dual softmax over cosine similarities.
        collect_device: as in mmengine.
        prefix: as in mmengine.
    """

    default_prefix = ''

    def __init__(self,
                 *,
                 dsl: bool = False,
                 dsl_temperature: float = 0.01,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)
        if dsl_temperature <= 0:
            raise ValueError(f'dsl_temperature must be positive, not {dsl_temperature}')
        self.dsl = dsl
        self.dsl_temperature = dsl_temperature

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the embeddings of a batch."""
        for sample in data_samples:
            video = read(sample, 'video_embed', 'RetrievalMetric', REMEDY)
            texts = read(sample, 'text_embeds', 'RetrievalMetric', REMEDY)
            if len(texts) == 0:
                raise ValueError(f'RetrievalMetric: {name_of(sample)} has no text')
            self.results.append((sample.get('sample_id'), video, texts))

    def summarize(self, results: list[tuple]) -> dict[str, float]:
        """Compute both directions over all videos.

        Raises:
            ValueError: two samples are the same, so that each would be a wrong answer of the other.
        """
        names, videos, texts = zip(*results, strict=True)
        for name, count in Counter(filter(None, names)).most_common(1):
            if count > 1:
                raise ValueError(f'RetrievalMetric: {count} samples are named {name!r}; put all '
                                 'captions of a video on one line, or give each line an "id"')
        owners = np.repeat(np.arange(len(results)), [len(own) for own in texts])
        videos, texts = np.stack(videos), np.concatenate(texts)
        similarity = texts @ videos.T
        metrics = _both_ways(similarity, similarity, owners, '')
        if self.dsl:
            metrics |= _both_ways(
                dual_softmax(similarity, self.dsl_temperature),
                dual_softmax(similarity.T, self.dsl_temperature).T, owners, 'dsl/')
        return metrics


def _both_ways(for_texts: np.ndarray, for_videos: np.ndarray, owners: np.ndarray,
               prefix: str) -> dict[str, float]:
    directions = {'t2v': text_to_video(for_texts, owners), 'v2t': video_to_text(for_videos, owners)}
    return {
        f'{prefix}{direction}/{name}': value
        for direction, figures in directions.items() for name, value in figures.items()
    }
