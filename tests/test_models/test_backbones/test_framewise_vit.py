import pytest
import torch
from torch.nn import functional

from tvtsv2_mm.models import FramewiseViT, SpaceTimeViT

SIZES = dict(image_size=32, patch_size=8, width=48, layers=2, heads=3, embed_dim=16, num_frames=4)


def test_is_the_mean_of_the_frames():
    model = FramewiseViT(**SIZES)
    video = torch.randn(2, 6, 3, 32, 32)
    kept = torch.stack([torch.randperm(16)[:5] for _ in range(2)])
    frames = torch.stack(
        [functional.normalize(model(video[:, t:t + 1], kept)[0], dim=-1) for t in range(6)])
    # A clip of one frame is its normalised embedding already.
    embeds, tokens = model(video, kept)
    torch.testing.assert_close(embeds, frames.mean(dim=0), atol=1e-6, rtol=1e-5)
    assert tokens.shape == (2, 6 * (1 + 5), 16)


def test_or_of_the_embeddings_as_they_are():
    model = FramewiseViT(**SIZES, average='embeddings')
    video = torch.randn(2, 6, 3, 32, 32)
    frames = torch.stack([model(video[:, t:t + 1])[0] for t in range(6)])
    assert not torch.allclose(frames.norm(dim=-1), torch.ones(6, 2), atol=0.05)
    torch.testing.assert_close(model(video)[0], frames.mean(dim=0), atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="directions, embeddings, not 'mean'"):
        FramewiseViT(**SIZES, average='mean')


def test_has_the_space_time_parameters_less_time():
    own = set(FramewiseViT(**SIZES).state_dict())
    full = set(SpaceTimeViT(**SIZES).state_dict())
    new = {key for key in full if 'timeattn' in key or 'ln_3' in key}
    assert full - own == new | {'temporal_embedding'}
    assert own < full
