"""The outputs of the authors' code are in test_peer_layouts.py."""

import pytest
import torch

from tvtsv2_mm.models import InternVideoViT

SIZES = dict(image_size=32, patch_size=8, width=48, layers=3, heads=3, embed_dim=16, decoders=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = InternVideoViT(**SIZES)
    with torch.no_grad():  # some start at 0
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_the_order_of_frames_counts_by_the_convolutions_alone(model):
    """The mean of class tokens and the attention of the query know no order."""
    video = torch.randn(2, 4, 3, 32, 32)
    turned = video.flip(1)
    assert (model(video)[0] - model(turned)[0]).abs().max() > 1e-4
    for convolution in model.dpe:
        torch.nn.init.zeros_(convolution.weight)
    torch.testing.assert_close(model(video)[0], model(turned)[0], atol=1e-5, rtol=1e-4)


def test_a_clip_is_by_itself_whatever_its_number_of_frames(model):
    for frames in (1, 3, 8):
        video = torch.randn(2, frames, 3, 32, 32)
        embeds, tokens = model(video)
        assert tokens.shape == (2, 1 + frames * 16, 16)
        torch.testing.assert_close(tokens[:, 0], embeds)
        torch.testing.assert_close(model(video, class_only=True)[0], embeds)
        for clip, embed in zip(video, embeds, strict=True):
            torch.testing.assert_close(model(clip[None])[0][0], embed, atol=1e-5, rtol=1e-5)


def test_tokens_are_frame_by_frame(model):
    video = torch.randn(1, 3, 3, 32, 32)
    tokens = model(video)[1][:, 1:].unflatten(1, (3, 16))
    torch.testing.assert_close(model(video[:, 2:])[1][:, 1:], tokens[:, 2], atol=1e-5, rtol=1e-5)


def test_all_is_trained_by_a_recognizer_and_checkpointing_changes_nothing(model):
    model.output, model.checkpointing = 'embedding', True
    clips = torch.randn(2, 3, 4, 32, 32)
    plain, checkpointing = (torch.autograd.grad(
        model.train(mode)(clips).square().sum(), list(model.parameters()))
        for mode in (False, True))
    assert all(grad.any() for grad in plain)
    torch.testing.assert_close(plain, checkpointing)


def test_depths_of_parameters(model):
    for name, depth in (('conv1.weight', 0), ('resblocks.0.ln_1.bias', 1), ('balance', 4),
                        ('resblocks.2.ln_1.bias', 3), ('dec.0.ln_1.bias', 4), ('proj', 4)):
        assert model.get_layer_depth(name) == (depth, 5)


def test_frozen_and_adapters():
    assert not any(value.requires_grad
                   for value in InternVideoViT(**SIZES, frozen=True).parameters())
    pytest.importorskip('peft')
    adapted = InternVideoViT(**SIZES, lora=dict(rank=2))
    assert any('dec.1.attn.qkv.lora_A' in name for name, value in adapted.named_parameters()
               if value.requires_grad)


@pytest.mark.parametrize(('change', 'message'), [
    (dict(decoders=4), r'decoders must lie in 1..3'), (dict(decoders=0), 'decoders must lie'),
    (dict(output='map'), "take output='embedding'")])
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        InternVideoViT(**SIZES | change)


def test_patches_cannot_be_left_out(model):
    with pytest.raises(ValueError, match='take RandomTubeMask out of the pipeline'):
        model(torch.randn(1, 2, 3, 32, 32), torch.arange(4)[None])
