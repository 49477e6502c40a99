import pytest
import torch

from tvtsv2_mm.models import VideoTextModel

SIZES = dict(
    backbone=dict(
        type='SpaceTimeViT', image_size=32, patch_size=8, width=48, layers=2, heads=3,
        embed_dim=32, num_frames=6),
    neck=dict(
        type='PartiallyFrozenTextEncoder', width=32, layers=4, heads=2, embed_dim=32,
        frozen_layers=3, vocab_size=64, context_length=12),
    contrastive_head=dict(type='VideoTextContrastiveHead'),
    sorting_head=dict(type='TranscriptSortingHead', embed_dim=32, num_transcripts=3, heads=4))


@pytest.fixture
def model_cfg() -> dict:
    return {part: dict(cfg) for part, cfg in SIZES.items()}


@pytest.fixture
def model(model_cfg) -> VideoTextModel:
    torch.manual_seed(0)
    return VideoTextModel(**model_cfg)


@pytest.fixture
def inputs() -> dict:
    torch.manual_seed(1)
    tokens = torch.randint(1, 60, (2, 3, 12))
    tokens[..., 8] = 63
    tokens[..., 9:] = 0
    return dict(
        video=torch.randn(2, 6, 3, 32, 32),
        tokens=tokens,
        kept_patches=torch.stack([torch.randperm(16)[:5].sort().values for _ in range(2)]))
