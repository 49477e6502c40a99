import pytest
import torch
from mmaction.structures import ActionDataSample

from tvtsv2_mm.models import LinearProbeHead


def samples(*labels: int) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(label) for label in labels]


def test_learns_a_separable_set():
    torch.manual_seed(0)
    head = LinearProbeHead(num_classes=3, embed_dim=8)
    embeds, labels = torch.eye(8)[:3], samples(2, 0, 1)
    optimizer = torch.optim.SGD(head.parameters(), lr=5.0)
    for _ in range(50):
        optimizer.zero_grad()
        head.loss(embeds, labels)['loss_cls'].backward()
        optimizer.step()
    scores = head.predict(embeds, encode_text=None)
    assert scores.argmax(dim=-1).tolist() == [2, 0, 1]
    torch.testing.assert_close(scores.sum(dim=-1), torch.ones(3))
    assert head.loss(embeds, labels)['acc_top1'] == 1


@pytest.mark.parametrize('label', [3, -100])
def test_label_beyond_the_classes(label):
    """-100 is what cross_entropy leaves out without a word."""
    with pytest.raises(ValueError, match=f'label {label} does not fit'):
        LinearProbeHead(num_classes=3, embed_dim=8).loss(torch.eye(8)[:2], samples(0, label))
