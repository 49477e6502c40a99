import pytest
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.helpers import assert_close, run_ranks
from tvtsv2_mm.models.losses import global_contrastive_loss


def plain(video: torch.Tensor, text: torch.Tensor, temperature: float) -> torch.Tensor:
    logits = video @ text.t() / temperature
    truth = torch.arange(len(video))
    return F.cross_entropy(logits, truth) + F.cross_entropy(logits.t(), truth)


def pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return F.normalize(torch.randn(count, 8), dim=-1), F.normalize(torch.randn(count, 8), dim=-1)


def plain_with_gradients(video: torch.Tensor, text: torch.Tensor) -> list[torch.Tensor]:
    """The loss and its gradients in float64, of the whole similarity matrix."""
    video, text = (x.detach().double().requires_grad_() for x in (video, text))
    loss = plain(video, text, 0.05)
    return [x.float() for x in (loss.detach(), *torch.autograd.grad(loss, (video, text)))]


@pytest.mark.parametrize('chunk_size', [1, 3, 4, 7, 4096])
def test_one_rank_equals_plain(chunk_size):
    """Chunks of one column, uneven ones (7 = 3 + 3 + 1 = 4 + 3), and all at once."""
    video, text = (x.requires_grad_() for x in pairs(7))
    loss = global_contrastive_loss(video, text, 0.05, chunk_size=chunk_size)
    gradients = torch.autograd.grad(3 * loss, (video, text))
    expected, *expected_gradients = plain_with_gradients(video, text)
    torch.testing.assert_close(loss, expected)
    for own, reference in zip(gradients, expected_gradients, strict=True):
        assert_close(own, 3 * reference)


def test_similarities_far_beyond_exp():
    """At 1 / temperature = 1000, exp(s) overflows float32 and the maximum changes by the chunk."""
    video, text = (x.requires_grad_() for x in pairs(7))
    loss = global_contrastive_loss(video, text, 0.001, chunk_size=2)
    wide = [x.detach().double().requires_grad_() for x in (video, text)]
    expected = plain(*wide, 0.001)
    torch.testing.assert_close(loss, expected.float())
    for own, reference in zip(
            torch.autograd.grad(loss, (video, text)),
            torch.autograd.grad(expected, wide), strict=True):
        torch.testing.assert_close(own, reference.float(), atol=5e-2, rtol=1e-4)


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
    reference = TwoTowers().double()
    expected = plain(*reference(video.double(), text.double()), 0.05)
    expected.backward()

    part = slice(4 * rank, 4 * rank + 4)
    # 3 columns: uneven, and one chunk straddles the border between the ranks.
    for chunk_size in (3, 4096):
        model = TwoTowers()
        parallel = DistributedDataParallel(model)
        loss = global_contrastive_loss(
            *parallel(video[part], text[part]), 0.05, gradient, chunk_size)
        loss.backward()
        torch.testing.assert_close(loss, expected.float())
        for own, other in zip(model.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(
                own.grad, factor * other.grad.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(('gradient', 'factor'), [('exact', 1.0), ('release', 0.5)])
def test_two_ranks(gradient, factor):
    """'exact' is the gradient of the joint batch, 'release' the half of it on two ranks."""
    run_ranks(2, check_rank, gradient, factor)


class LargestTensor(TorchDispatchMode):
    """Record the largest number of elements that any operation returns, and count exchanges."""

    numel = exchanges = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.exchanges += func.namespace == 'c10d'
        sizes = [x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        self.numel = max(self.numel, *sizes, 0)
        return out


def largest_tensors(video: torch.Tensor, text: torch.Tensor, chunk_size: int,
                    exchanges: int = 0) -> tuple[int, int]:
    """Elements of the largest tensor that forward and backward make."""
    video, text = video.requires_grad_(), text.requires_grad_()
    with LargestTensor() as forward:
        loss = global_contrastive_loss(video, text, 0.05, chunk_size=chunk_size)
    with LargestTensor() as backward:
        loss.backward()
    assert (forward.exchanges, backward.exchanges) == (exchanges, 0)
    return forward.numel, backward.numel


def memory_rank(rank: int, world_size: int) -> None:
    part = slice(32 * rank, 32 * rank + 32)
    for chunk_size, columns in ((10, 10), (4096, 64)):
        sizes = largest_tensors(*(x[part].clone() for x in pairs(64)), chunk_size, exchanges=2)
        # The forward gathers the (64, 8) embeddings of both kinds from all ranks, more than 32 rows
        # of 10 columns.
        assert sizes == (max(2 * 64 * 8, 32 * columns), 32 * columns)


def test_memory_is_rows_times_chunk():
    """One rank makes no tensor above b * chunk (and all at once makes N * N: the count sees it)."""
    assert largest_tensors(*pairs(64), 10) == (640, 640)
    assert largest_tensors(*pairs(64), 4096) == (64 * 64, 64 * 64)


def test_memory_of_a_rank_is_its_own_rows_times_chunk():
    run_ranks(2, memory_rank)


def test_autocast_keeps_float32():
    """Forward and backward, even where the backward too is called under autocast."""
    video, text = (x.requires_grad_() for x in pairs(6))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = global_contrastive_loss(video, text, 0.05)
        gradients = torch.autograd.grad(loss, (video, text))
    for own, expected in zip(
            (loss, *gradients), plain_with_gradients(video, text), strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-5)


def test_unknown_gradient():
    with pytest.raises(ValueError, match="'exact' or 'release'"):
        global_contrastive_loss(*pairs(2), 0.05, gradient='mean')


def test_empty_chunks():
    with pytest.raises(ValueError, match='chunk_size must be at least 1, not 0'):
        global_contrastive_loss(*pairs(2), 0.05, chunk_size=0)
