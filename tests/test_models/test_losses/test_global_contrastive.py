import pytest
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from tests.helpers import run_ranks
from tvtsv2_mm.models.losses import global_contrastive_loss


def plain(video: torch.Tensor, text: torch.Tensor, temperature: float) -> torch.Tensor:
    logits = video @ text.t() / temperature
    truth = torch.arange(len(video))
    return F.cross_entropy(logits, truth) + F.cross_entropy(logits.t(), truth)


def pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return F.normalize(torch.randn(count, 8), dim=-1), F.normalize(torch.randn(count, 8), dim=-1)


def test_one_rank_equals_plain():
    video, text = (x.requires_grad_() for x in pairs(6))
    loss = 3 * global_contrastive_loss(video, text, 0.05)
    expected = 3 * plain(video, text, 0.05)
    torch.testing.assert_close(loss, expected)
    for own, reference in zip(
            torch.autograd.grad(loss, (video, text)),
            torch.autograd.grad(expected, (video, text)), strict=True):
        torch.testing.assert_close(own, reference, atol=1e-6, rtol=1e-5)


class TwoTowers(torch.nn.Module):
    """Weights before the loss, so that DDP has gradients to average."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.video = torch.nn.Linear(8, 8)
        self.text = torch.nn.Linear(8, 8)

    def forward(self, video: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return F.normalize(self.video(video), dim=-1), F.normalize(self.text(text), dim=-1)


def check_rank(rank: int, world_size: int, gradient: str, factor: float) -> None:
    video, text = pairs(8)
    reference = TwoTowers()
    expected = plain(*reference(video, text), 0.05)
    expected.backward()

    model = TwoTowers()
    part = slice(4 * rank, 4 * rank + 4)
    parallel = DistributedDataParallel(model)
    loss = global_contrastive_loss(*parallel(video[part], text[part]), 0.05, gradient)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    for own, other in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(own.grad, factor * other.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(('gradient', 'factor'), [('exact', 1.0), ('release', 0.5)])
def test_two_ranks(gradient, factor):
    """'exact' is the gradient of the joint batch, 'release' the half of it on two ranks."""
    run_ranks(2, check_rank, gradient, factor)


def count_rank(rank: int, world_size: int) -> None:
    video, text = (x[4 * rank:4 * rank + 4] for x in pairs(8))
    shapes = []
    original = torch.Tensor.logsumexp
    torch.Tensor.logsumexp = lambda self, dim: shapes.append(tuple(self.shape)) or original(
        self, dim)
    try:
        global_contrastive_loss(video, text, 0.05)
    finally:
        torch.Tensor.logsumexp = original
    assert shapes == [(4, 8), (4, 8)]


def test_each_rank_computes_its_own_rows():
    run_ranks(2, count_rank)


def test_autocast_keeps_float32():
    video, text = pairs(6)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = global_contrastive_loss(video, text, 0.05)
    torch.testing.assert_close(loss, plain(video, text, 0.05))


def test_unknown_gradient():
    with pytest.raises(ValueError, match="'exact' or 'release'"):
        global_contrastive_loss(*pairs(2), 0.05, gradient='mean')
