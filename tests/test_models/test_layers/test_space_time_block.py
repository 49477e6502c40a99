import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from tests.helpers import assert_same_gradients
from tvtsv2_mm.models.layers import SpaceTimeBlock, TokenRows

LAYOUT = TokenRows(2, 3, 8)
ROWS, WIDTH, HEADS = 2 * (3 * 8 + 1), 48, 3


def make_block(**kwargs) -> SpaceTimeBlock:
    torch.manual_seed(0)
    return SpaceTimeBlock(
        width=WIDTH, heads=HEADS, activation='quick_gelu', time_init='proj', **kwargs).double()


@pytest.mark.parametrize('time_attention', [True, False])
def test_class_only_is_the_class_rows(time_attention):
    block = make_block(time_attention=time_attention)
    x = torch.randn(ROWS, WIDTH, dtype=torch.float64, requires_grad=True)
    parameters = [x, *block.parameters()]
    expected = LAYOUT.split(block(x, LAYOUT))[1]
    assert_same_gradients(block(x, LAYOUT, class_only=True), expected, parameters)


def test_kept_values():
    """15 widths a token: x, time and space; twice q, k, v and the output; the hidden values.

    Beside them are the attention's weights and three means and scales of a token; and of the class
    token a query, key and value in each group.
    """
    block = make_block()
    parameters = {p.untyped_storage().data_ptr() for p in block.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
        return tensor

    x = torch.randn(ROWS, WIDTH, dtype=torch.float64, requires_grad=True)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        block(x, LAYOUT)
    clips, frames, patches, _ = LAYOUT
    weights = clips * HEADS * (frames * (1 + patches)**2 + patches * (1 + frames)**2)
    copies = 3 * WIDTH * clips * (frames + patches - 2)
    assert sum(kept.values()) == 15 * ROWS * WIDTH + weights + copies + 3 * 2 * ROWS + 2 * WIDTH


@pytest.mark.parametrize('class_only', [False, True])
def test_branches_of_whole_clips_are_dropped(class_only):
    """0 leaves a clip as it was before that branch; other factors are those of plain arithmetic."""
    block, (attention, mlp) = make_block(), torch.tensor([[0, 2], [1.5, 0]], dtype=torch.float64)
    x = torch.randn(ROWS, WIDTH, dtype=torch.float64, requires_grad=True)
    for clip, (own_patches, own_class) in enumerate(zip(*LAYOUT.split(x), strict=True)):
        alone = torch.cat([own_patches.flatten(0, 1), own_class[None]])
        layout = LAYOUT._replace(clips=1)
        time = alone + block.timeattn(block.timeattn.qkv(block.ln_3(alone)), layout)
        space = alone + attention[clip] * block.attn(block.attn.qkv(block.ln_1(time)), layout)
        hidden = block.mlp.c_fc(block.ln_2(space))
        added = block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
        expected = space + mlp[clip] * added
        found = block(x, LAYOUT, class_only, torch.stack([attention, mlp]))
        if class_only:
            found, expected = found[clip], expected[-1]
        else:
            patches, classes = LAYOUT.split(found)
            found = torch.cat([patches[clip].flatten(0, 1), classes[clip][None]])
        assert_same_gradients(found, expected, [x, *block.parameters()])
    dropped = block(x, LAYOUT, class_only, torch.zeros(2, 2))
    torch.testing.assert_close(dropped, LAYOUT.split(x)[1] if class_only else x)
