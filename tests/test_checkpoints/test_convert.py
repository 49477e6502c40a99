"""Weights of other libraries' random models give their embeddings here."""

import pytest
import torch

from tests.clip_models import (
    embed,
    make_custom_text_open_clip,
    make_hugging_face,
    make_model,
    make_open_clip,
    randomize,
)
from tvtsv2_mm.checkpoints import CheckpointError, to_own_layout
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.layouts import RELEASE

ACTIVATIONS = ('quick_gelu', 'gelu')


@pytest.mark.parametrize('activation', ACTIVATIONS)
@pytest.mark.parametrize('make_foreign', [make_hugging_face, make_open_clip,
                                          make_custom_text_open_clip])
def test_one_frame_gives_the_foreign_embeddings(make_foreign, activation):
    """Nothing is lost at the start."""
    torch.manual_seed(0)
    foreign = make_foreign(activation)
    randomize(foreign)
    model = make_model(activation)
    model.load_state_dict(foreign.state_dict())
    torch.testing.assert_close(embed(model), embed(foreign), atol=1e-5, rtol=0)


def to_release(model: torch.nn.Module) -> dict[str, torch.Tensor]:
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
    (lambda w: w.update({'module.video_model.class_embedding': 3}), 'unknown checkpoint layout'),
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
