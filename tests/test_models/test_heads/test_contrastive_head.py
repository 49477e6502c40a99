import pytest
import torch

from tvtsv2_mm.registry import MODELS


def head_loss(**options) -> torch.Tensor:
    torch.manual_seed(0)
    head = MODELS.build(dict(type='VideoTextContrastiveHead', **options))
    return head.loss(torch.randn(7, 8), torch.randn(7, 3, 8))['loss_contrastive']


def test_chunks_do_not_change_the_loss():
    torch.testing.assert_close(head_loss(chunk_size=3), head_loss())


def test_chunk_size_reaches_the_loss():
    with pytest.raises(ValueError, match='chunk_size must be at least 1, not 0'):
        head_loss(chunk_size=0)


def test_half_precision_is_left_before_the_normalisation():
    head = MODELS.build(dict(type='VideoTextContrastiveHead'))
    embeds = [torch.randn(7, 8).bfloat16(), torch.randn(7, 3, 8).bfloat16()]
    assert torch.equal(head.loss(*embeds)['loss_contrastive'],
                       head.loss(*(x.float() for x in embeds))['loss_contrastive'])
