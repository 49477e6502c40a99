import pytest
import torch
from mmaction.models.heads import BaseHead
from mmaction.structures import ActionDataSample

from tvtsv2_mm.models import AttentiveHead


def test_learns_what_only_one_place_of_the_map_tells():
    """With the rest of MMAction2's heads: losses, accuracy, averaging over clips."""
    torch.manual_seed(0)
    head = AttentiveHead(num_classes=3, in_channels=16, topk=(1, ), average_clips='prob')
    assert isinstance(head, BaseHead)
    maps = torch.randn(48, 16, 2, 4, 4)
    labels = torch.arange(48) % 3
    place = torch.randint(32, (48, ))
    maps.flatten(2)[torch.arange(48), :, place] = 4 * torch.eye(16)[labels]
    samples = [ActionDataSample().set_gt_label(label.item()) for label in labels]
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        losses = head.loss(maps, samples)
        losses['loss_cls'].backward()
        optimizer.step()
    assert losses['top1_acc'] > 0.9
    # Two views of each of 24 clips.
    with torch.no_grad():
        found = head.eval().predict(maps, [ActionDataSample() for _ in range(24)])
    expected = head(maps).softmax(dim=1).unflatten(0, (24, 2)).mean(dim=1)
    torch.testing.assert_close(torch.stack([sample.pred_score for sample in found]),
                               expected.detach())


def test_dropout_is_for_training_alone():
    head = AttentiveHead(num_classes=2, in_channels=8, dropout_ratio=0.5)
    maps = torch.randn(2, 8, 2, 2, 2)
    assert not head(maps).equal(head(maps))
    assert head.eval()(maps).equal(head(maps))


@pytest.mark.parametrize('shape', [(2, 8), (2, 4, 2, 2, 2)])
def test_what_is_no_map_of_this_width(shape):
    with pytest.raises(ValueError, match=rf'got {str(shape)[:-1]}.*output=.map.*embed_dim'.replace(
            '(', r'\(')):
        AttentiveHead(num_classes=2, in_channels=8)(torch.ones(shape))
