import open_clip
import pytest
import torch

from tests.clip_models import make_hugging_face, make_model, make_open_clip
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.positions import resize_spatial, resize_temporal


def test_frames_keep_their_moments():
    table = torch.tensor([[0.0], [1.0]])
    # The middles of four quarters lie at -0.25, 0.25, 0.75 and 1.25 between the two middles.
    expected = torch.tensor([[0.0], [0.25], [0.75], [1.0]])
    torch.testing.assert_close(resize_temporal(table, 4), expected)
    torch.testing.assert_close(resize_temporal(torch.tensor([[0.0], [1.0], [2.0]]), 1),
                               torch.tensor([[1.0]]))


@pytest.mark.parametrize('side', [4, 7, 14])
def test_a_grid_keeps_its_directions(side):
    """Rows stay rows and columns columns, each still rising, with a class token and without."""
    row, column = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing='ij')
    grid = torch.stack([row, column], dim=-1).flatten(0, 1)
    table = torch.cat([torch.tensor([[50.0, -50.0]]), grid])
    resized = resize_spatial(table, 1 + side * side)
    assert resized.shape == (1 + side * side, 2)
    torch.testing.assert_close(resized[0], table[0])
    torch.testing.assert_close(resize_spatial(grid, side * side), resized[1:])
    resized = resized[1:].view(side, side, 2)
    torch.testing.assert_close(resized[..., 0], resized[..., 1].t())
    torch.testing.assert_close(resized[..., 0], resized[:, :1, 0].expand(side, side))
    assert (resized[:, 0, 0].diff() > 0).all()
    centre = resized[..., 0].mean()
    torch.testing.assert_close(centre, torch.tensor(3.0))
    if side == 7:
        torch.testing.assert_close(resized.flatten(0, 1), grid)


@pytest.mark.parametrize(('rows', 'message'), [
    (12, '12 positions are no square grid, with a class token or without'),
    (17, "of 9 and 17 positions, the first of one are a class token's"),
])
def test_no_such_grid(rows, message):
    with pytest.raises(ValueError, match=message):
        resize_spatial(torch.zeros(9, 2), rows)


def test_half_precision_stays():
    assert resize_spatial(torch.zeros(5, 2).half(), 10).dtype == torch.half
    assert resize_temporal(torch.zeros(5, 2).half(), 10).dtype == torch.half


def test_a_model_resizes_on_request_only():
    small, larger = make_model(), dict(image_size=48, num_frames=6)
    with pytest.raises(CheckpointError, match=r'positional_embedding: \(17, 64\) in the checkpoint,'
                       r' \(37, 64\) by the config[\s\S]*interpolate_positions=True'):
        make_model(**larger).load_state_dict(small.state_dict())
    model = make_model(**larger)
    model.interpolate_positions = True
    model.load_state_dict(small.state_dict())
    torch.testing.assert_close(
        model.backbone.positional_embedding,
        torch.nn.Parameter(resize_spatial(small.backbone.positional_embedding, 37)))
    torch.testing.assert_close(
        model.backbone.temporal_embedding,
        torch.nn.Parameter(resize_temporal(small.backbone.temporal_embedding, 6)))
    assert model.backbone(torch.randn(1, 6, 3, 48, 48))[0].shape == (1, 24)


@pytest.mark.parametrize('side', [16, 48])
def test_positions_are_resized_as_their_library_does_it(side):
    """open_clip at load, transformers at use; smaller and larger grids."""
    model = make_model(type='FramewiseViT', image_size=side)
    model.interpolate_positions = True
    foreign = make_open_clip('quick_gelu')
    torch.nn.init.normal_(foreign.visual.positional_embedding)
    model.load_state_dict(foreign.state_dict())
    expected = dict(foreign.state_dict())
    other = make_open_clip('quick_gelu')
    other.visual.grid_size = (side // 8, side // 8)
    open_clip.model.resize_pos_embed(expected, other)
    torch.testing.assert_close(model.backbone.positional_embedding.data,
                               expected['visual.positional_embedding'])
    foreign = make_hugging_face('quick_gelu')
    model.load_state_dict(foreign.state_dict())
    embeddings = foreign.vision_model.embeddings
    expected = embeddings.interpolate_pos_encoding(
        torch.empty(1, 1 + (side // 8)**2, 64), side, side)[0]
    torch.testing.assert_close(model.backbone.positional_embedding.data, expected.detach())


def test_another_width_is_still_an_error():
    model = make_model(width=128)
    model.interpolate_positions = True
    with pytest.raises(CheckpointError, match=r'positional_embedding: \(17, 64\)'):
        model.load_state_dict(make_model().state_dict())
