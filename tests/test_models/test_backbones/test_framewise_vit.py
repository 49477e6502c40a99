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
    assert tokens.shape == (2, 6 * 5, 16)


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


@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
def test_tokens_are_those_of_each_frame_without_its_class_token(token_output):
    model = FramewiseViT(**SIZES, token_output=token_output)
    video = torch.randn(2, 3, 3, 32, 32)
    tokens = model(video)[1].unflatten(1, (3, 16))
    for frame in range(3):
        torch.testing.assert_close(model(video[:, frame:frame + 1])[1], tokens[:, frame],
                                   atol=1e-5, rtol=1e-5)


class TestPatchesOfTwoFrames:
    SIZES = SIZES | dict(frames_per_patch=2)

    def test_the_projection_is_the_convolution_over_both(self):
        model = FramewiseViT(**self.SIZES)
        video = torch.randn(3, 2, 3, 32, 32)
        weight = model.conv1.weight.unflatten(1, (3, 2))  # as ImageBind's
        expected = functional.conv3d(video.transpose(1, 2), weight, stride=(2, 8, 8))
        found = model._gather_patches(video, None) @ model.conv1.weight.flatten(1).t()
        torch.testing.assert_close(found[:, 0], expected.flatten(2).transpose(1, 2), atol=1e-5,
                                   rtol=1e-5)

    def test_is_the_mean_of_the_pairs(self):
        model = FramewiseViT(**self.SIZES)
        video = torch.randn(2, 6, 3, 32, 32)
        kept = torch.stack([torch.randperm(16)[:5] for _ in range(2)])
        pairs = [model(video[:, t:t + 2], kept) for t in (0, 2, 4)]
        embeds, tokens = model(video, kept)
        torch.testing.assert_close(embeds, sum(pair[0] for pair in pairs) / 3, atol=1e-6,
                                   rtol=1e-5)
        torch.testing.assert_close(tokens, torch.cat([pair[1] for pair in pairs], dim=1),
                                   atol=1e-5, rtol=1e-5)
        assert model.token_frames == 2

    def test_for_a_recognizer(self):
        model = FramewiseViT(**self.SIZES, output='map')
        assert model(torch.randn(2, 3, 4, 32, 32)).shape == (2, 16, 2, 4, 4)

    def test_frozen(self):
        model = FramewiseViT(**self.SIZES, frozen=True)
        assert not any(value.requires_grad for value in model.parameters())

    def test_frames_that_make_no_pairs(self):
        with pytest.raises(ValueError, match=r'5 frames is no multiple of .*frames_per_patch=2'):
            FramewiseViT(**self.SIZES | dict(num_frames=5))
        with pytest.raises(ValueError, match=r'3 frames is no multiple'):
            FramewiseViT(**self.SIZES)(torch.randn(1, 3, 3, 32, 32))
        with pytest.raises(ValueError, match='frames_per_patch must be at least 1, not 0'):
            FramewiseViT(**self.SIZES | dict(frames_per_patch=0))
