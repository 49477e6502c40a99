import numpy as np
import pytest

from tests.soak import slope, soak


def test_a_slope_and_its_interval():
    minutes, rng = np.linspace(0, 30, 600), np.random.default_rng(0)
    value, low, high = slope(minutes, 500 + 2 * minutes + rng.normal(0, 5, 600))
    assert low < 2 < high and high - low < 0.5 and abs(value - 2) < 0.2
    _, low, high = slope(minutes, 500 + rng.normal(0, 5, 600))
    assert low < 0 < high


@pytest.mark.faults
def test_twenty_seconds_leave_nothing_behind(tmp_path):
    result = soak(1 / 3, tmp_path)
    assert result.samples > 20 and result.hostile > 0
    assert result.processes_left == result.shared_memory_left == 0
    assert max(result.descriptors.values()) <= 4, result
    # A leak of each sample, not the slope of so short a run.
    assert result.resident['main'] < 3000 and result.slope['main'][1] < 300, result
