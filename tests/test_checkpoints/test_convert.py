"""Weights of other libraries' random models give their embeddings here."""

import open_clip
import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from tvtsv2_mm.checkpoints import CheckpointError, to_own_layout
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.layouts import RELEASE
from tvtsv2_mm.models import VideoTextModel

VISION = dict(image_size=32, patch_size=8)
ACTIVATIONS = ('quick_gelu', 'gelu')


def make_model(activation: str = 'quick_gelu', **changes) -> VideoTextModel:
    return VideoTextModel(
        backbone=dict(
            type='SpaceTimeViT', width=64, layers=2, heads=1, embed_dim=24, num_frames=4,
            activation=activation, **VISION) | changes,
        neck=dict(
            type='PartiallyFrozenTextEncoder', width=64, layers=2, heads=1, embed_dim=24,
            frozen_layers=1, vocab_size=80, context_length=12, activation=activation),
        contrastive_head=dict(type='VideoTextContrastiveHead'),
        sorting_head=dict(type='TranscriptSortingHead', embed_dim=24, num_transcripts=4, heads=4))


def make_tokens() -> torch.Tensor:
    tokens = torch.randint(1, 70, (5, 12))
    tokens[:, 7] = 79
    tokens[:, 8:] = 0
    return tokens


def randomize(module: torch.nn.Module) -> None:
    """So that no bias is zero and no norm is one."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)


def make_hugging_face(activation: str) -> CLIPModel:
    tower = dict(
        hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=1,
        hidden_act=activation)
    return CLIPModel(CLIPConfig(
        text_config=dict(vocab_size=80, max_position_embeddings=12, eos_token_id=2, bos_token_id=0,
                         **tower),
        vision_config=tower | VISION, projection_dim=24))


def make_open_clip(activation: str) -> open_clip.CLIP:
    return open_clip.CLIP(
        embed_dim=24, quick_gelu=activation == 'quick_gelu',
        vision_cfg=dict(layers=2, width=64, head_width=64, **VISION),
        text_cfg=dict(context_length=12, vocab_size=80, width=64, heads=1, layers=2))


def start_without_time(model: VideoTextModel) -> None:
    """Time attention is zero from the start; its position table is not."""
    torch.nn.init.zeros_(model.backbone.temporal_embedding)


@pytest.mark.parametrize('activation', ACTIVATIONS)
@torch.no_grad()
def test_one_frame_gives_hugging_faces_embeddings(activation):
    """Nothing is lost at the start."""
    torch.manual_seed(0)
    foreign = make_hugging_face(activation).eval()
    randomize(foreign)
    model = make_model(activation).eval()
    model.load_state_dict(foreign.state_dict())
    start_without_time(model)
    image, tokens = torch.randn(3, 3, 32, 32), make_tokens()
    expected = foreign(pixel_values=image, input_ids=tokens)
    own_image = torch.nn.functional.normalize(model.backbone(image[:, None])[0], dim=-1)
    own_text = torch.nn.functional.normalize(model.encode_text(tokens), dim=-1)
    torch.testing.assert_close(own_image, expected.image_embeds, atol=1e-5, rtol=0)
    torch.testing.assert_close(own_text, expected.text_embeds, atol=1e-5, rtol=0)


@pytest.mark.parametrize('activation', ACTIVATIONS)
@torch.no_grad()
def test_one_frame_gives_open_clips_embeddings(activation):
    torch.manual_seed(0)
    foreign = make_open_clip(activation).eval()
    randomize(foreign)
    model = make_model(activation).eval()
    model.load_state_dict(foreign.state_dict())
    start_without_time(model)
    image, tokens = torch.randn(3, 3, 32, 32), make_tokens()
    for own, expected in ((model.backbone(image[:, None])[0], foreign.encode_image(image)),
                          (model.encode_text(tokens), foreign.encode_text(tokens))):
        scale = expected.norm(dim=-1, keepdim=True)
        torch.testing.assert_close(own / scale, expected / scale, atol=1e-5, rtol=0)


def to_release(model: VideoTextModel) -> dict[str, torch.Tensor]:
    names, unknown = convert_names(model.state_dict(), RELEASE, to_foreign=True)
    assert not unknown
    return {f'module.{name}': value for name, value in names.items()}


def test_release_layout_there_and_back():
    model = make_model()
    randomize(model)
    back = to_own_layout(to_release(model), make_model().state_dict())
    torch.testing.assert_close(back, dict(model.state_dict()), atol=0, rtol=0)


def test_release_may_lack_the_sorting_head_but_not_half_of_it():
    weights = to_release(make_model())
    without = {k: v for k, v in weights.items() if 'pred_model' not in k}
    make_model().load_state_dict(without)
    half = {k: v for k, v in weights.items() if k != 'module.pred_model.norm.weight'}
    with pytest.raises(CheckpointError, match=r'missing in the checkpoint:\n  sorting_head.norm.w'):
        make_model().load_state_dict(half)


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda w: w.pop('module.video_model.proj'), r'missing in the checkpoint:\n  backbone.proj'),
    (lambda w: w.update({'module.text_model.resblocks.0.extra': torch.zeros(1)}),
     r'not used by the model:\n  text_model.resblocks.0.extra'),
    (lambda w: w.pop('module.video_model.class_embedding'), 'unknown checkpoint layout'),
])
def test_keys_that_do_not_fit_are_listed(spoil, message):
    weights = to_release(make_model())
    spoil(weights)
    with pytest.raises(CheckpointError, match=message):
        make_model().load_state_dict(weights)


def test_size_mismatch_says_both():
    with pytest.raises(CheckpointError, match=r'temporal_embedding: \(4, 64\) in the checkpoint, '
                       r'\(6, 64\) by the config'):
        make_model(num_frames=6).load_state_dict(to_release(make_model()))


def test_time_in_the_weights_but_not_in_the_model():
    with pytest.raises(CheckpointError, match=r'not used by the model:\n  backbone.temporal'):
        make_model(type='FramewiseViT').load_state_dict(make_model().state_dict())


def test_framewise_weights_start_a_space_time_model():
    framewise, model = make_model(type='FramewiseViT'), make_model()
    time = model.backbone.temporal_embedding.clone()
    model.load_state_dict(framewise.state_dict())
    torch.testing.assert_close(model.backbone.proj, framewise.backbone.proj)
    torch.testing.assert_close(model.backbone.temporal_embedding, time)
