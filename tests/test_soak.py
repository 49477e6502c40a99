from dataclasses import asdict

import numpy as np
import pytest

from tests.faults.record import cases, keep
from tests.soak import slope, soak


def test_a_slope_and_its_interval():
    minutes, rng = np.linspace(0, 30, 600), np.random.default_rng(0)
    value, low, high = slope(minutes, 500 + 2 * minutes + rng.normal(0, 5, 600))
    assert low < 2 < high and high - low < 0.5 and abs(value - 2) < 0.2
    _, low, high = slope(minutes, 500 + rng.normal(0, 5, 600))
    assert low < 0 < high


@pytest.mark.faults
def test_nothing_is_left_behind(tmp_path):
    minutes = cases(1, 120) / 4
    result = soak(minutes, tmp_path)
    keep('soak', 'soak', asdict(result))
    assert result.samples > 20 and result.hostile > 0
    assert result.processes_left == result.shared_memory_left == 0
    assert result.resident['main'] < 3000
    if minutes < 10:  # a leak of each sample: workers and decoders still grow to their size, and
        # batches on their way hold 10 descriptors or 20
        assert result.slope['main'][1] < 300, result
        assert max(result.descriptors['main'], result.descriptors['decoders']) <= 4, result
        assert result.descriptors['workers'] < min(100, result.hostile), result
    else:  # what would end a run of days
        assert all(low < 0.5 for _, low, _ in result.slope.values()), result
        assert max(result.descriptors.values()) <= 4, result
