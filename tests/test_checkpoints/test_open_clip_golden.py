"""open_clip's own stored outputs: models built from seed 0, through our converter."""

import random
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from tvtsv2_mm.models import VideoTextModel

GOLDEN = Path(__file__).parents[1] / 'data' / 'golden' / 'open_clip.safetensors'
CASES = {
    'ViT-S-32': (dict(width=384, heads=6, embed_dim=384), dict(width=384, heads=6, embed_dim=384),
                 'gelu'),
    'ViT-B-32-quickgelu': (dict(), dict(), 'quick_gelu'),
}


@pytest.mark.parametrize('name', CASES)
@torch.no_grad()
def test_stored_outputs(name):
    golden = load_file(GOLDEN)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    foreign = open_clip.create_model(name, pretrained=None)
    backbone, neck, activation = CASES[name]
    model = VideoTextModel(
        backbone=dict(type='SpaceTimeViT', patch_size=32, activation=activation, **backbone),
        neck=dict(type='PartiallyFrozenTextEncoder', activation=activation, **neck)).eval()
    model.load_state_dict(foreign.state_dict())
    torch.nn.init.zeros_(model.backbone.temporal_embedding)

    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)
    image = (golden['image'].permute(2, 0, 1) / 255 - mean) / std
    own_image = model.backbone(image[None, None])[0][0]
    own_text = model.encode_text(golden['tokens'][None])[0]
    for own, expected in ((own_image, golden[f'{name}/image']), (own_text, golden[f'{name}/text'])):
        torch.testing.assert_close(
            own / expected.norm(), expected / expected.norm(), atol=1e-5, rtol=0)
