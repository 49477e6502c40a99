import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from tests.helpers import assert_close
from tvtsv2_mm.checkpoints import Layout, to_own_layout
from tvtsv2_mm.checkpoints import convert as convert_module
from tvtsv2_mm.checkpoints.layouts import SIGMOID_RULES
from tvtsv2_mm.checkpoints.model_config import config_of_checkpoint
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.registry import MODELS


def build(**options) -> torch.nn.Module:
    return MODELS.build(dict(type='VideoTextSigmoidHead', **options))


@pytest.fixture
def sigmoid_model(model_cfg) -> VideoTextModel:
    torch.manual_seed(0)
    return VideoTextModel(**model_cfg | dict(contrastive_head=dict(type='VideoTextSigmoidHead')))


def test_each_video_meets_the_mean_of_its_transcripts():
    torch.manual_seed(0)
    head, video, texts = build(loss_weight=2.0), torch.randn(7, 8), torch.randn(7, 3, 8)
    cosines = F.normalize(video, dim=-1) @ F.normalize(texts.mean(dim=1), dim=-1).t()
    expected = F.binary_cross_entropy_with_logits(
        10 * cosines - 10, torch.eye(7), reduction='none').sum(dim=1).mean()
    loss = head.loss(video, texts)['loss_contrastive']
    torch.testing.assert_close(loss, 2 * expected)
    torch.testing.assert_close(
        build(loss_weight=2.0, chunk_size=3).loss(video, texts)['loss_contrastive'], loss)


def test_scale_and_bias_are_learnt():
    head = build(scale=5.0, bias=-2.0)
    assert head.temperature == pytest.approx(1 / 5)
    head.loss(torch.randn(4, 8), torch.randn(4, 1, 8))['loss_contrastive'].backward()
    assert head.logit_scale.grad.abs() > 0 and head.logit_bias.grad.abs() > 0


def test_weights_decay_but_not_the_scale(sigmoid_model):
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        wrapper = build_optim_wrapper(sigmoid_model, dict(
            type='OptimWrapper', constructor='TrainableParamsConstructor',
            optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
            paramwise_cfg=dict(lr_mult={'logit_scale': 0.1})))
    head = sigmoid_model.contrastive_head
    found = {name: (group['lr'], group['weight_decay'])
             for group in wrapper.optimizer.param_groups for p in group['params']
             for name, q in head.named_parameters() if p is q}
    assert found == {'logit_scale': (pytest.approx(1e-4), 0.0), 'logit_bias': (1e-3, 0.0)}


def test_micro_batches_have_the_gradients_of_the_whole_batch(model_cfg, inputs):
    gradients = []
    for size in (None, 1):
        torch.manual_seed(0)
        model = VideoTextModel(**model_cfg | dict(
            contrastive_head=dict(type='VideoTextSigmoidHead'), sorting_head=None,
            micro_batch_size=size))
        loss = model(dict(inputs, video=inputs['video'] + torch.arange(2).view(2, 1, 1, 1, 1)),
                     mode='loss')['loss_contrastive']
        loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()
                          if p.grad is not None})
    assert gradients[0]['contrastive_head.logit_bias'].abs() > 0
    assert gradients[1].keys() == gradients[0].keys()
    for name, expected in gradients[0].items():
        assert_close(gradients[1][name], expected, name)


@pytest.mark.parametrize('shape', [(), (1, )])
def test_scale_and_bias_of_a_siglip(monkeypatch, sigmoid_model, model, shape):
    """Whose layouts have the rules; as open_clip keeps them and as transformers does."""
    siglip = Layout(name='SigLIP', marker='logit_bias', rules=(
        *SIGMOID_RULES, *((key, key) for key in model.state_dict())))
    monkeypatch.setattr(convert_module, 'LAYOUTS', (siglip, ))
    given = model.state_dict() | dict(
        logit_scale=torch.full(shape, math.log(90)), logit_bias=torch.full(shape, -16.0))
    sigmoid_model.load_state_dict(given)
    assert sigmoid_model.contrastive_head.temperature == pytest.approx(1 / 90)
    assert sigmoid_model.contrastive_head.logit_bias.item() == -16
    # Another loss has no place for them.
    report = {}
    to_own_layout(given, model.state_dict(), report=report)
    assert report['unneeded'] == ['contrastive_head.logit_bias', 'contrastive_head.logit_scale']


def test_weights_of_another_loss_leave_them_as_they_are(sigmoid_model, model):
    sigmoid_model.load_state_dict(model.state_dict())
    assert sigmoid_model.contrastive_head.logit_bias.item() == -10
    assert sigmoid_model.load_report['new'] == [
        'contrastive_head.logit_bias', 'contrastive_head.logit_scale']


def test_a_checkpoint_tells_that_it_has_such_a_head(sigmoid_model, model_cfg):
    text = 'model = ' + repr(dict(
        model_cfg, type='VideoTextModel', contrastive_head=dict(type='VideoTextSigmoidHead')))
    config = config_of_checkpoint(
        dict(state_dict=sigmoid_model.state_dict(), meta=dict(cfg=text)), 'x.pth')
    assert config.model.contrastive_head.type == 'VideoTextSigmoidHead'


def test_a_scale_that_is_none():
    with pytest.raises(ValueError, match=r'contrastive_head\.scale must be positive, not 0'):
        build(scale=0)
