"""Ranks and retrieval metrics from a similarity matrix: pure functions on numpy arrays.

Ties do not flatter: a rank among equal similarities is the expected one over all orders of the
tied, and R@k the expected share, so that equal similarities everywhere give chance.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Where the right answers of Q queries stand.

    Attributes:
        better: (Q,) wrong answers that are more similar than the best right one.
        tied: (Q,) wrong answers that are as similar.
        right: (Q,) right answers that share the highest similarity of the right ones, 1 or more.
    """

    better: np.ndarray
    tied: np.ndarray
    right: np.ndarray

    @property
    def expected(self) -> np.ndarray:
        """(Q,) expected rank of the first right answer, counted from 1."""
        return self.better + (self.tied + self.right + 1) / (self.right + 1)

    def hits(self, k: int) -> np.ndarray:
        """(Q,) probability that a right answer is among the first k."""
        places = np.clip(k - self.better, 0, None)
        return 1 - _all_wrong(self.tied, self.right, places)


def _all_wrong(tied: np.ndarray, right: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Probability that the first ``places`` of shuffled ``tied`` + ``right`` are all tied ones."""
    probability = np.ones(len(tied))
    for place in range(int(np.minimum(places, tied + 1).max(initial=0))):
        left = np.clip(tied - place, 0, None)
        total = np.maximum(tied + right - place, 1)
        probability = np.where(place < places, probability * left / total, probability)
    return probability


def similarities(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """(Q, E) and (C, E) to their dot products (Q, C), in the dtype of the embeddings.

    Added up in float64: in float32 the last digit depends on where a product stands in the matrix,
    so that equal embeddings would not tie on every CPU.
    """
    products = queries.astype(np.float64) @ candidates.astype(np.float64).T
    return products.astype(np.result_type(queries, candidates), copy=False)


def rank_queries(similarity: np.ndarray, right: np.ndarray) -> Ranks:
    """Rank the candidates of each query by (Q, C) similarities, given the right ones, (Q, C) bool.

    Raises:
        ValueError: a similarity is not finite, or a query has no right candidate.
    """
    _check_ranking(similarity, right)
    best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
    equal = similarity == best
    return Ranks(
        better=(similarity > best).sum(axis=1),
        tied=(equal & ~right).sum(axis=1),
        right=(equal & right).sum(axis=1))


def rank_guesses(right: np.ndarray) -> Ranks:
    """The ranks of who finds all candidates equally similar, given the right ones, (Q, C) bool."""
    return Ranks(better=np.zeros(len(right), np.int64), tied=(~right).sum(axis=1),
                 right=right.sum(axis=1))


def _check_ranking(similarity: np.ndarray, right: np.ndarray) -> None:
    _check_finite(similarity)
    if not right.any(axis=1).all():
        raise ValueError('every query needs a right candidate')


def _check_finite(similarity: np.ndarray) -> None:
    if not np.isfinite(similarity).all():
        raise ValueError('similarities must be finite: the embeddings hold NaN or infinity')


def own_videos(owners: np.ndarray) -> np.ndarray:
    """(M,) the index of each text's video to (M, N) bool: which video of N is whose."""
    return owners[:, None] == np.arange(owners.max() + 1)


def average_precision(similarity: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Average precision (Q,) of rankings in which several candidates may be right.

    The mean over the right candidates of the share of right ones among those up to it. Expected
    over all orders of tied candidates (McSherry and Najork, ECIR 2008).

    Args:
        similarity: (Q, C) of queries and candidates.
        right: (Q, C), which candidates are right.

    Raises:
        ValueError: a similarity is not finite, or a query has no right candidate.

    Examples:
        >>> average_precision(np.array([[3., 2., 1.]]), np.array([[True, False, True]])).round(3)
        array([0.833])
    """
    _check_ranking(similarity, right)
    return np.array([_average_precision(*own) for own in zip(similarity, right, strict=True)])


def _average_precision(similarity: np.ndarray, right: np.ndarray) -> float:
    order = np.argsort(-similarity, kind='stable')
    _, first, size = np.unique(-similarity[order], return_index=True, return_counts=True)
    right_in = np.add.reduceat(right[order].astype(float), first)  # of each run of tied ones
    right_before = np.cumsum(right_in) - right_in
    # The i-th of a run: how probably it is right, and how many right ones are then up to it.
    i = np.arange(len(order)) - np.repeat(first, size)
    num, ties, before = (np.repeat(own, size) for own in (right_in, size, right_before))
    up_to = before + 1 + i * (num - 1) / np.maximum(ties - 1, 1)
    return float((num / ties * up_to / np.arange(1, len(order) + 1)).sum() / right.sum())


def dual_softmax(similarity: np.ndarray, temperature: float = 0.01) -> np.ndarray:
    """Dual softmax (DSL): weight each of (Q, C) similarities by a softmax over the queries.

    It uses all queries of the test set at once, so its figures are not comparable with raw ones.
    Made for similarities above zero: a small weight brings a negative one closer to zero, and up.
    """
    # In float64: float32 would make far similarities zero, and so equal.
    weights = similarity.astype(np.float64)
    weights -= weights.max(axis=0, keepdims=True)
    np.exp(np.divide(weights, temperature, out=weights), out=weights)
    weights /= weights.sum(axis=0, keepdims=True)
    return np.multiply(weights, similarity, out=weights)


def query_bank_norm(similarity: np.ndarray, bank: np.ndarray, temperature: float = 0.05,
                    activations: int = 1) -> np.ndarray:
    """QB-Norm with a dynamic inverted softmax (Bogolin et al., CVPR 2022).

    A candidate that many queries of a bank (of the training set) take for theirs is a hub. If the
    best candidate of a test query is one that some bank query ranks among its first
    ``activations``, the query's similarities become softmax weights against the bank; else they
    stay. Each query is ranked for itself: unlike the dual softmax it sees no other test query.

    Args:
        similarity: (Q, C) of test queries and candidates.
        bank: (B, C) of bank queries and the same candidates.
        temperature: 1 / beta of the paper, which takes beta = 20.
        activations: k of the paper.

    Raises:
        ValueError: the bank is empty, has other candidates, or is not finite, or k does not fit.
    """
    if bank.ndim != 2 or not len(bank) or bank.shape[1] != similarity.shape[1]:
        raise ValueError(f'the bank must be (B, {similarity.shape[1]}) with B > 0, '
                         f'not {bank.shape}')
    _check_finite(bank)
    if not 1 <= activations <= bank.shape[1]:
        raise ValueError(f'activations must be in 1..{bank.shape[1]}, not {activations}')
    first = np.argpartition(-bank, activations - 1, axis=1)[:, :activations]
    is_hub = np.zeros(bank.shape[1], dtype=bool)
    is_hub[first] = True
    top = bank.max(axis=0)
    # Logarithm of the softmax weight: the same ranks, and no overflow.
    weights = similarity / temperature - (
        top / temperature + np.log(np.exp((bank - top) / temperature).sum(axis=0)))
    return np.where(is_hub[similarity.argmax(axis=1)][:, None], weights, similarity)
