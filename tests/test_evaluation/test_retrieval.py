import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from tvtsv2_mm.evaluation.retrieval import (
    average_precision,
    dual_softmax,
    own_videos,
    rank_guesses,
    rank_queries,
    similarities,
)

GOLDEN = Path(__file__).parents[1] / 'data' / 'golden'


@pytest.mark.parametrize('case', ['square_50', 'square_200', 'five_captions'])
def test_equal_to_the_release(case):
    similarity = np.load(GOLDEN / 'retrieval_similarities.npz')[case]
    expected = json.loads((GOLDEN / 'retrieval_expected.json').read_text())[case]
    owners = np.arange(len(similarity)) // (len(similarity) // similarity.shape[1])
    right = own_videos(owners)
    for direction, scores, own in (('t2v', similarity, right), ('v2t', similarity.T, right.T)):
        ranks = rank_queries(scores, own)
        metrics = {f'R{k}': 100 * ranks.hits(k).mean() for k in (1, 5, 10, 50)} | dict(
            MedR=np.median(ranks.expected), MeanR=ranks.expected.mean())
        assert metrics == pytest.approx({
            name: expected[direction][name] for name in metrics}, abs=1e-9)


@pytest.mark.parametrize('captions', [1, 3])
def test_equal_similarities_give_chance(captions):
    owners = np.repeat(np.arange(20), captions)
    similarity = np.zeros((20 * captions, 20))
    right = own_videos(owners)
    ranks = rank_queries(similarity, right)
    assert ranks.hits(1) == pytest.approx(0.05)
    assert ranks.hits(10) == pytest.approx(0.5)
    assert ranks.expected == pytest.approx(10.5)
    back = rank_queries(similarity.T, right.T)
    # One of the `captions` right texts among all is first.
    assert back.hits(1) == pytest.approx(0.05)
    # What is ranked by nothing but the number of candidates.
    for own, answers in ((ranks, right), (back, right.T)):
        guesses = rank_guesses(answers)
        assert all((getattr(guesses, name) == getattr(own, name)).all()
                   for name in ('better', 'tied', 'right'))


def test_ties_equal_brute_force():
    """Against the mean over every order of the candidates."""
    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 3, (40, 5)).astype(float)
    right = rng.random((40, 5)) < 0.4
    right[np.arange(40), rng.integers(0, 5, 40)] = True
    ranks = rank_queries(similarity, right)
    for query in range(40):
        firsts = []
        for order in permutations(range(5)):
            listed = sorted(order, key=lambda c: -similarity[query, c])
            firsts.append(next(i for i, c in enumerate(listed, 1) if right[query, c]))
        assert ranks.expected[query] == pytest.approx(np.mean(firsts))
        one = rank_queries(similarity[query:query + 1], right[query:query + 1])
        for k in (1, 2, 3, 5):
            assert one.hits(k) == pytest.approx(np.mean(np.array(firsts) <= k))


def test_average_precision_of_ties_equals_brute_force():
    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 3, (6, 6)).astype(float)
    right = rng.random((6, 6)) < 0.4
    right[:, 0] = True
    orders = [np.array(order) for order in permutations(range(6))]
    for query, found in enumerate(average_precision(similarity, right)):
        expected = []
        for order in orders:
            hits = right[query][order[np.argsort(-similarity[query][order], kind='stable')]]
            expected.append(np.mean((np.cumsum(hits) / np.arange(1, 7))[hits]))
        assert found == pytest.approx(np.mean(expected))
    with pytest.raises(ValueError, match='every query needs a right candidate'):
        average_precision(similarity, np.zeros_like(right))


def test_dual_softmax():
    similarity = np.array([[0.9, 0.8], [0.8, 0.1]])
    expected = similarity * np.exp(similarity / 0.5) / np.exp(similarity / 0.5).sum(axis=0)
    np.testing.assert_allclose(dual_softmax(similarity, 0.5), expected)


def test_dual_softmax_keeps_far_similarities_apart():
    """float32 would make the weights of both wrong videos zero."""
    similarity = np.array([[0.01, 0.02, 0.95], [0.99, 0.98, 0.1]], np.float32)
    weighted = dual_softmax(similarity, 0.005)
    assert 0 < weighted[0, 0] < weighted[0, 1] < weighted[0, 2]


def test_errors():
    with pytest.raises(ValueError, match='finite'):
        rank_queries(np.array([[np.nan]]), np.array([[True]]))
    with pytest.raises(ValueError, match='right candidate'):
        rank_queries(np.zeros((1, 2)), np.zeros((1, 2), bool))


@pytest.mark.parametrize('size', [1, 7, 40, 81])
def test_equal_embeddings_tie(size):
    """Wherever they stand: kernels add up edges of a matrix in another order than its middle."""
    embed = np.random.default_rng(size).normal(size=(1, 33)).astype(np.float32)
    found = similarities(embed.repeat(2 * size, axis=0), embed.repeat(size, axis=0))
    assert found.shape == (2 * size, size)
    assert found.dtype == np.float32
    assert (found == found[0, 0]).all()
    np.testing.assert_allclose(found[0, 0], (embed.astype(np.float64)**2).sum(), rtol=1e-6)
