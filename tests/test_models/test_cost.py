import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny_model import ROOT
from tvtsv2_mm.models.cost import TEXT_TOKENS, TRANSCRIPTS, encoder_cost, transcripts_flop
from tvtsv2_mm.registry import MODELS

SMALL = dict(image_size=32, patch_size=8, width=32, layers=2, heads=2, embed_dim=16, num_frames=3,
             activation='gelu')


@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
@pytest.mark.parametrize('kind', [
    dict(),
    dict(pooling='AttentionPooling', rotary='RotaryPositions2D'),
    dict(pooling='AttentionPooling', class_token=False, embed_dim=None, mlp_width=80)])
def test_flop_of_the_encoder(token_output, kind):
    backbone = SMALL | dict(type='tvtsv2_mm.SpaceTimeViT', token_output=token_output) | kind
    cost = encoder_cost(backbone, 3, 16)
    encoder = MODELS.build(backbone)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        encoder(torch.randn(1, 3, 3, 32, 32))
    # Those of the plain form are equal (test_model_benchmark.py); ours takes the class token apart.
    assert counted.get_total_flops() == pytest.approx(cost.forward, rel=0.002)


def test_flop_of_texts_and_sorting():
    config = Config.fromfile(ROOT / 'configs/_base_/models/tvtsv2_tiny.py').model
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(config)
    tokens = torch.randint(1, 99, (TRANSCRIPTS, TEXT_TOKENS))
    video = torch.randn(1, 1 + 8 * 8, config.backbone.embed_dim)
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(
            torch.nn.attention.SDPBackend.MATH), torch.no_grad():
        model.sorting_head(video, model.neck(tokens, padded=False)[None])
    # Left out: the projections to embeddings and to logits.
    assert transcripts_flop(config, 8, 8) == pytest.approx(counter.get_total_flops(), rel=0.01)
