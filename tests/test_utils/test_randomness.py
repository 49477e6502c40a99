import random

import numpy as np
import pytest
import torch

from tvtsv2_mm.utils.randomness import generators_kept


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


@pytest.mark.parametrize('device', [False, True])
def test_draws_within_change_nothing_behind(device):
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    with pytest.raises(KeyError), generators_kept(device=device):
        assert draw() == expected
        raise KeyError  # nor where it ends in an error
    assert draw() == expected
