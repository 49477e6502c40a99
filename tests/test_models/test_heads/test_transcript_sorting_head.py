import pytest
import torch

from tests.helpers import assert_same_gradients
from tvtsv2_mm.models import TranscriptSortingHead


@pytest.fixture
def head() -> TranscriptSortingHead:
    torch.manual_seed(0)
    return TranscriptSortingHead(embed_dim=32, num_transcripts=3, heads=4)


def test_order_of_the_input_carries_no_information(head):
    """Transcripts given in another order get the same logits, in that order."""
    video, texts = torch.randn(2, 7, 32), torch.randn(2, 3, 32)
    logits = head(video, texts)
    assert logits.shape == (2, 3, 3)
    torch.testing.assert_close(
        head(video, texts[:, [2, 0, 1]]), logits[:, [2, 0, 1]], atol=1e-6, rtol=1e-5)


def test_texts_are_detached_and_the_video_is_not(head):
    video = torch.randn(2, 7, 32, requires_grad=True)
    texts = torch.randn(2, 3, 32, requires_grad=True)
    losses = head.loss(video, texts)
    losses['loss_sorting'].backward()
    assert texts.grad is None
    assert video.grad.abs().max() > 0


def test_loss(head):
    video, texts = torch.randn(2, 7, 32), torch.randn(2, 3, 32)
    logits = head(video, texts)
    truth = torch.arange(3)
    expected = 2 * -sum(
        logits.log_softmax(-1)[b, k, k] for b in range(2) for k in range(3)) / 6
    losses = head.loss(video, texts)
    torch.testing.assert_close(losses['loss_sorting'], expected)
    assert losses['acc_sorting'] == (logits.argmax(-1) == truth).float().mean()


def test_idle_is_a_zero_that_reaches_every_parameter(head):
    zero = head.idle()
    zero.backward()
    assert zero == 0
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in head.parameters())


def test_wrong_number_of_transcripts(head):
    with pytest.raises(ValueError, match='num_transcripts is 3, but each sample has 4'):
        head(torch.randn(2, 7, 32), torch.randn(2, 4, 32))


def test_the_last_block_computes_transcripts_alone(head):
    """Equal to all positions computed, gradients too; without blocks there is no head."""
    head = head.double()
    video, texts = (torch.randn(2, n, 32, dtype=torch.float64, requires_grad=True) for n in (7, 3))
    x = torch.cat([video + head.type_embed[:, :1], texts.detach() + head.type_embed[:, 1:]], dim=1)
    for block in head.blocks:
        x = block(x, outputs=10)
    expected = head.head(head.norm(x[:, -3:]))
    assert_same_gradients(head(video, texts), expected, [video, *head.parameters()])
    with pytest.raises(ValueError, match='depth must be at least 1'):
        TranscriptSortingHead(depth=0)
