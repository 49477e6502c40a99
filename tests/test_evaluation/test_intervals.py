import numpy as np
import pytest

from tvtsv2_mm.evaluation.intervals import (
    bootstrap_interval,
    interval_of_difference,
    share_of_hits,
)


def plainly(hits, counts, seed=1, times=4000):
    """The same by drawing videos one by one."""
    drawn = np.random.default_rng(seed).integers(len(hits), size=(times, len(hits)))
    return np.quantile(hits[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])


@pytest.mark.parametrize('kind', ['hits', 'ties', 'several queries'])
def test_as_by_drawing_videos(kind):
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 6, 300) if kind == 'several queries' else np.ones(300)
    hits = (rng.random(300) if kind == 'ties' else
            rng.binomial(counts.astype(int), rng.random(300)).astype(float))
    low, high = bootstrap_interval(hits, counts)
    assert (low, high) == pytest.approx(plainly(hits, counts), abs=0.006)
    assert low < hits.sum() / counts.sum() < high


def test_captions_of_a_video_are_drawn_together():
    """20 captions of a video that hit or miss together tell as much as one."""
    hits = (np.random.default_rng(0).random(100) < 0.4).astype(float)
    together = bootstrap_interval(20 * hits, np.full(100, 20))
    assert together == pytest.approx(bootstrap_interval(hits))
    apart = bootstrap_interval(np.repeat(hits, 20))
    assert apart[1] - apart[0] < (together[1] - together[0]) / 4


def test_the_interval_holds_the_truth_in_95_of_100_cases():
    rng = np.random.default_rng(0)
    held = [low <= 0.3 <= high for low, high in (
        bootstrap_interval((rng.random(200) < 0.3).astype(float)) for _ in range(400))]
    assert 0.92 < np.mean(held) < 0.98


def test_the_same_hits_give_the_same_interval_in_any_order():
    hits = np.random.default_rng(0).random(50).round(1)
    assert bootstrap_interval(hits) == bootstrap_interval(hits[::-1].copy())
    assert bootstrap_interval(np.ones(9)) == (1, 1)


def test_many_kinds_of_videos_are_drawn_in_parts(monkeypatch):
    hits = np.random.default_rng(0).random(300)
    whole = bootstrap_interval(hits)
    monkeypatch.setattr('tvtsv2_mm.evaluation.intervals._MOST_NUMBERS', 300 * 700)
    assert bootstrap_interval(hits) == pytest.approx(whole, rel=1e-12)


def test_share_of_hits():
    share = share_of_hits(np.array([2.0, 0.0, 1.0]), np.array([0.5, 0.2, 0.2]), np.array([3, 1, 1]))
    assert (share.value, share.chance) == pytest.approx((60, 18))
    assert 0 <= share.interval[0] < 60 < share.interval[1] <= 100


def test_the_difference_of_runs_on_other_videos():
    """As by drawing both; of a pair that hits the same videos it is wider than needed."""
    rng = np.random.default_rng(0)
    first, second = (rng.random(400) < share for share in (0.6, 0.45))
    intervals = [(own.mean(), bootstrap_interval(own.astype(float))) for own in (first, second)]
    low, high = interval_of_difference(*intervals)
    means = [own[rng.integers(400, size=(4000, 400))].mean(axis=1) for own in (first, second)]
    assert (low, high) == pytest.approx(np.quantile(means[0] - means[1], [0.025, 0.975]), abs=0.01)
