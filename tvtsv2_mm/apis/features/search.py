"""Find videos by text among extracted features."""


import numpy as np

from tvtsv2_mm.apis.features.shards import FeatureSet


def search(features: FeatureSet, text_embeds: np.ndarray,
           top_k: int = 10) -> list[list[tuple[str, float]]]:
    """Rank the videos for each text by their cosine.

    Args:
        features: of the videos.
        text_embeds: float32 (M, E), l2-normalised.
        top_k: how many videos of each text.

    Returns:
        For each text, (video, cosine) best first.

    Raises:
        ValueError: the widths differ, there is no video, or a cosine is not finite.
    """
    if top_k < 1:
        raise ValueError(f'top_k must be at least 1, got {top_k}')
    if not features.videos:
        raise ValueError('there is no video to find: all of them failed')
    if features.features.shape[1] != text_embeds.shape[1]:
        raise ValueError(f'the features have width {features.features.shape[1]}, the texts '
                         f'{text_embeds.shape[1]}: they come from different models')
    similarity = text_embeds @ features.features.T
    if not np.isfinite(similarity).all():
        raise ValueError('the features or the texts hold NaN or infinity: extract them anew')
    return [[(features.videos[i], float(row[i])) for i in _best(row, top_k)] for row in similarity]


def _best(row: np.ndarray, count: int) -> np.ndarray:
    """Indices of the largest values, largest first, without sorting all."""
    count = min(count, len(row))
    chosen = np.argpartition(-row, count - 1)[:count]
    return chosen[np.argsort(-row[chosen], kind='stable')]
