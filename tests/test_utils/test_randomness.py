import random

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from tvtsv2_mm.utils.randomness import generators_kept, without_drawing


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


def test_modules_are_built_without_drawing():
    states = torch.get_rng_state()
    with without_drawing():
        layer = nn.Linear(4, 3)
        nn.init.normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        assert torch.equal(torch.get_rng_state(), states)
        assert not layer.bias.any()  # what is no draw is done
        nn.init.trunc_normal_(layer.weight)  # drawn again until it fits
    assert layer.weight.abs().max() <= 2
    assert not torch.equal(torch.get_rng_state(), states)


@pytest.mark.skipif(transformers.__version__.startswith('4.'),
                    reason="transformers 4 draws by the tensors' own functions")
def test_nor_do_those_of_transformers_draw():
    """While it builds a model, torch's functions are its own."""
    states = torch.get_rng_state()
    with without_drawing():
        CLIPTextModel(CLIPTextConfig(
            vocab_size=8, hidden_size=4, intermediate_size=4, projection_dim=4,
            num_hidden_layers=1, num_attention_heads=1))
    assert torch.equal(torch.get_rng_state(), states)
