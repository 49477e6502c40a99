import math

import numpy as np
import pytest

from tvtsv2_mm.evaluation.retrieval import query_bank_norm


def plain(similarity, bank, temperature, activations):
    """Loops over the formula of the paper."""
    hubs = set()
    for own in bank:
        hubs |= set(sorted(range(len(own)), key=lambda c: -own[c])[:activations])
    out = []
    for own in similarity:
        if max(range(len(own)), key=lambda c: own[c]) not in hubs:
            out.append(list(own))
            continue
        out.append([math.exp(s / temperature) / sum(math.exp(b[c] / temperature) for b in bank)
                    for c, s in enumerate(own)])
    return out


@pytest.mark.parametrize('activations', [1, 3])
@pytest.mark.parametrize('temperature', [0.05, 0.5])
def test_ranks_equal_a_plain_computation(temperature, activations):
    rng = np.random.default_rng(0)
    similarity, bank = rng.uniform(-1, 1, (30, 12)), rng.uniform(-1, 1, (5, 12))
    expected = plain(similarity, bank, temperature, activations)
    found = query_bank_norm(similarity, bank, temperature, activations)
    moved = 0
    for own, other, raw in zip(found, expected, similarity, strict=True):
        assert np.argsort(own).tolist() == np.argsort(other).tolist()
        moved += np.argsort(own).tolist() != np.argsort(raw).tolist()
    assert 0 < moved < 30  # some queries are re-weighted, others stay


def test_a_hub_is_pushed_back():
    """Video 0 is near to everything; the bank tells, and query 1 finds its own."""
    similarity = np.array([[0.9, 0.1, 0.1], [0.60, 0.55, 0.1], [0.2, 0.1, 0.8]])
    bank = np.array([[0.6, 0.1, 0.2], [0.62, 0.2, 0.1]])
    found = query_bank_norm(similarity, bank)
    assert similarity.argmax(axis=1).tolist() == [0, 0, 2]
    assert found.argmax(axis=1).tolist()[1:] == [1, 2]
    np.testing.assert_array_equal(found[2], similarity[2])


def test_no_overflow():
    found = query_bank_norm(np.array([[1.0, 0.9]]), np.array([[1.0, -1.0]]), 1e-4)
    assert np.isfinite(found).all()


def test_errors():
    with pytest.raises(ValueError, match='bank'):
        query_bank_norm(np.zeros((2, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match='bank'):
        query_bank_norm(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match='finite'):
        query_bank_norm(np.eye(3), np.array([[np.nan, 0, 0], [0, 0, 0]]))
    with pytest.raises(ValueError, match='activations'):
        query_bank_norm(np.zeros((2, 3)), np.zeros((2, 3)), activations=4)
