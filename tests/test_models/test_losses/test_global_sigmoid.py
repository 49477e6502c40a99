import math

import open_clip
import pytest
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from tests.helpers import assert_close, run_ranks
from tests.test_models.test_losses.test_global_contrastive import LargestTensor, TwoTowers, pairs
from tvtsv2_mm.models.losses import global_sigmoid_loss


def plain(video: torch.Tensor, text: torch.Tensor, scale: torch.Tensor,
          bias: torch.Tensor) -> torch.Tensor:
    signs = 2 * torch.eye(len(video), dtype=video.dtype) - 1
    return -F.logsigmoid(signs * (scale * video @ text.t() + bias)).sum(dim=1).mean()


def numbers(*values: float, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.tensor([value], dtype=dtype).requires_grad_() for value in values]


@pytest.mark.parametrize('chunk_size', [1, 3, 4, 7, 4096])
@pytest.mark.parametrize(('scale', 'bias'), [(10.0, -10.0), (100.0, -12.0), (0.5, 3.0)])
def test_one_rank_equals_plain(chunk_size, scale, bias):
    """Chunks of one column, uneven ones (7 = 3 + 3 + 1 = 4 + 3), and all at once."""
    given = [*(x.requires_grad_() for x in pairs(7)), *numbers(scale, bias)]
    loss = global_sigmoid_loss(*given, chunk_size=chunk_size)
    wide = [x.detach().double().requires_grad_() for x in given]
    expected = plain(*wide)
    torch.testing.assert_close(loss, expected.float())
    for own, reference in zip(torch.autograd.grad(3 * loss, given),
                              torch.autograd.grad(3 * expected, wide), strict=True):
        assert_close(own, reference.float())


def test_true_pairs_that_are_well_learnt():
    """1 - sigmoid(25) is lost in float32; the gradient of such a pair must not be."""
    video, _ = pairs(1)
    given = [video.requires_grad_(), video.detach().clone().requires_grad_(), *numbers(35.0, -10.0)]
    wide = [x.detach().double().requires_grad_() for x in given]
    for own, reference in zip(torch.autograd.grad(global_sigmoid_loss(*given), given),
                              torch.autograd.grad(plain(*wide), wide), strict=True):
        assert reference.abs().max() > 0
        torch.testing.assert_close(own, reference.float(), atol=0.0, rtol=1e-4)


@pytest.mark.parametrize('shape', [(), (1, )])
def test_equal_to_open_clips(shape):
    video, text = pairs(6)
    scale, bias = torch.full(shape, 10.0), torch.full(shape, -10.0)
    torch.testing.assert_close(
        global_sigmoid_loss(video, text, scale, bias),
        open_clip.loss.SigLipLoss()(video, text, scale, bias))


class SigmoidTowers(TwoTowers):
    """With what the loss learns."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.tensor([math.log(10)]))
        self.bias = torch.nn.Parameter(torch.tensor([-3.0]))

    def forward(self, video: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return *super().forward(video, text), self.log_scale.exp(), 1 * self.bias


def check_rank(rank: int, world_size: int) -> None:
    video, text = pairs(8)
    reference = SigmoidTowers().double()
    expected = plain(*reference(video.double(), text.double()))
    expected.backward()

    part = slice(4 * rank, 4 * rank + 4)
    # 3 columns: uneven, and one chunk straddles the border between the ranks.
    for chunk_size in (3, 4096):
        model = SigmoidTowers()
        parallel = DistributedDataParallel(model)
        loss = global_sigmoid_loss(*parallel(video[part], text[part]), chunk_size=chunk_size)
        loss.backward()
        torch.testing.assert_close(loss, expected.float())
        for own, other in zip(model.parameters(), reference.parameters(), strict=True):
            assert other.grad.abs().max() > 1e-3
            torch.testing.assert_close(own.grad, other.grad.float(), atol=1e-5, rtol=1e-5)


def test_two_ranks():
    """The gradient is that of the joint batch, of scale and bias too."""
    run_ranks(2, check_rank)


def test_memory_is_rows_times_chunk():
    given = [*(x.requires_grad_() for x in pairs(64)), *numbers(10.0, -10.0)]
    for chunk_size, numel in ((10, 640), (4096, 64 * 64)):
        with LargestTensor() as largest:
            global_sigmoid_loss(*given, chunk_size=chunk_size).backward()
        assert largest.numel == numel


def test_autocast_keeps_float32():
    """Forward and backward, even where the backward too is called under autocast."""
    given = [*(x.requires_grad_() for x in pairs(6)), *numbers(10.0, -1.0)]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = global_sigmoid_loss(*given)
        gradients = torch.autograd.grad(loss, given)
    expected = plain(*given)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    for own, other in zip(gradients, torch.autograd.grad(expected, given), strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-5)


def test_no_column_at_a_time():
    with pytest.raises(ValueError, match='chunk_size must be at least 1'):
        global_sigmoid_loss(*pairs(2), *numbers(10.0, -10.0), chunk_size=0)
