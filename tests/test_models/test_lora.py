import copy
import logging
from types import SimpleNamespace

import pytest
import torch
import transformers
from mmaction.structures import ActionDataSample
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_state_dict
from torch import nn
from torch.func import functional_call

from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.lora import adapters_of, merge_lora, without_adapters
from tvtsv2_mm.engine.hooks import CompileBlocksHook
from tvtsv2_mm.models import SpaceTimeViT, VideoTextModel

LORA = dict(rank=3, alpha=6)
SAMPLES = [ActionDataSample(), ActionDataSample()]


def with_lora(model_cfg, **lora) -> VideoTextModel:
    for part in ('backbone', 'neck'):
        model_cfg[part]['lora'] = LORA | lora
    return VideoTextModel(**model_cfg)


def randomized(model: VideoTextModel) -> VideoTextModel:
    """Not as at the start, where the adapters (and time attention) add nothing."""
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if 'timeattn' in name or 'lora_' in name or parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def adapted(model_cfg) -> VideoTextModel:
    torch.manual_seed(0)
    return randomized(with_lora(copy.deepcopy(model_cfg)))


def total(losses) -> torch.Tensor:
    return sum(value for name, value in losses.items() if name.startswith('loss'))


def test_it_starts_as_the_model_that_it_adapts(model, model_cfg, inputs):
    randomized(model)
    adapted = with_lora(model_cfg)
    adapted.init_weights()  # as a Runner does it
    adapted.load_state_dict(model.state_dict())
    assert adapted.load_report['lora'] == 'adapters (LoRA) are new'
    assert adapted.load_report['new'] == []
    for name, value in model(inputs).items():
        torch.testing.assert_close(adapted(inputs)[name], value, rtol=0, atol=1e-5)


def test_adapters_alone_are_trained_where_the_part_would_be(adapted):
    trained = {name for name, value in adapted.named_parameters() if value.requires_grad}
    heads = {name for name in trained if not name.startswith(('backbone.', 'neck.'))}
    assert all(name.startswith('sorting_head.') for name in heads) and heads
    assert {name.split('.lora_')[0] for name in trained - heads} == {
        *(f'backbone.resblocks.{i}.{layer}' for i in range(2) for layer in (
            'attn.qkv', 'attn.proj', 'timeattn.qkv', 'timeattn.proj', 'mlp.c_fc', 'mlp.c_proj')),
        # Three of the four blocks are frozen.
        *(f'neck.clip.text_model.encoder.layers.3.{layer}' for layer in (
            'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.out_proj',
            'mlp.fc1', 'mlp.fc2')),
        'neck.clip.text_projection'}


@pytest.mark.parametrize('variant', ['plain', 'checkpointing', 'micro batches', 'framewise',
                                     'captions'])
def test_gradients_are_those_of_merged_weights(model_cfg, inputs, variant):
    """Of W + s B A, in a model whose own backward passes read the weights."""
    if variant == 'framewise':
        model_cfg['backbone']['type'] = 'FramewiseViT'
    if variant == 'captions':  # the last block is computed for the class token alone
        model_cfg['sorting_head'] = None
        inputs['tokens'] = inputs['tokens'][:, :1]
    # The text encoder of transformers 4 cannot be computed in float64.
    dtype, exact = (torch.float32, dict(rtol=1e-3, atol=1e-5)) if (
        transformers.__version__.startswith('4.')) else (
        torch.float64, dict(rtol=1e-6, atol=1e-7))
    inputs['video'] = inputs['video'].to(dtype)
    plain = VideoTextModel(**copy.deepcopy(model_cfg)).to(dtype)
    if variant == 'checkpointing':
        model_cfg['backbone']['checkpointing'] = True
    if variant == 'micro batches':
        model_cfg['micro_batch_size'] = 1
    adapted = randomized(with_lora(model_cfg)).to(dtype)
    weights = {name: value.detach().clone() for name, value in adapted.state_dict().items()}
    trained = {name: weights[name].requires_grad_() for name, value in adapted.named_parameters()
               if value.requires_grad}
    expected = total(functional_call(
        plain, merge_lora(weights), (inputs, SAMPLES, 'loss')))
    found = total(adapted(inputs, SAMPLES, 'loss'))
    torch.testing.assert_close(found, expected)
    found.backward()
    parameters = dict(adapted.named_parameters())
    for name, grad in zip(trained, torch.autograd.grad(
            expected, list(trained.values())), strict=True):
        torch.testing.assert_close(parameters[name].grad, grad, **exact)
        assert grad.abs().max() > 0, name
    assert all(value.grad is None for value in parameters.values() if not value.requires_grad)


def test_under_autocast(adapted, inputs):
    expected = total(adapted(inputs, SAMPLES, 'loss'))
    with torch.autocast('cpu', torch.bfloat16):
        found = total(adapted(inputs, SAMPLES, 'loss'))
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0)
    found.backward()
    assert {value.grad.dtype for value in adapted.parameters() if value.requires_grad} == {
        torch.float32}


def test_compiled_blocks(adapted, inputs):
    expected = adapted(inputs, SAMPLES, 'loss')
    runner = SimpleNamespace(model=adapted, logger=logging.getLogger('test'))
    CompileBlocksHook(backend='eager', fullgraph=True).before_run(runner)
    for name, value in adapted(inputs, SAMPLES, 'loss').items():
        torch.testing.assert_close(value, expected[name])


def test_what_has_no_adapters_merges_them(adapted, model, inputs):
    model.load_state_dict(adapted.state_dict())
    assert model.load_report['lora'] == 'its adapters (LoRA) are merged'
    for name, value in adapted.eval()(inputs).items():
        torch.testing.assert_close(model.eval()(inputs)[name], value, rtol=0, atol=1e-5)


def test_its_own_adapters_are_loaded_and_others_merged(adapted, model_cfg, inputs):
    expected = adapted.eval()(inputs)['video_embeds']
    for lora, kept in (({}, True), (dict(rank=2), False), (dict(alpha=3), False),
                       (dict(targets=('qkv', 'fc1')), False)):
        cfg = copy.deepcopy(model_cfg)
        if lora.get('targets'):
            cfg['backbone']['lora'] = dict(LORA, targets=['qkv'])
            other = VideoTextModel(**cfg)
        else:
            other = with_lora(cfg, **lora)
        other.load_state_dict(adapted.state_dict())
        assert ('lora' not in other.load_report) is kept
        torch.testing.assert_close(other.eval()(inputs)['video_embeds'], expected, rtol=0,
                                   atol=1e-5)
        name = 'backbone.resblocks.0.attn.qkv.lora_B.default.weight'
        assert bool(other.state_dict()[name].any()) is kept


class Recognizer(nn.Module):
    """As those of MMAction2, which load by names alone and go on after a warning."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.cls_head = nn.Linear(32, 2)


def test_a_recognizer_merges_as_well(model_cfg, inputs, caplog):
    cfg = {key: value for key, value in model_cfg['backbone'].items() if key != 'type'}
    adapted = Recognizer(SpaceTimeViT(**cfg, output='embedding', lora=LORA))
    randomized(adapted)
    weights, clips = adapted.state_dict(), inputs['video'].transpose(1, 2)
    plain = Recognizer(SpaceTimeViT(**cfg, output='embedding'))
    again = Recognizer(SpaceTimeViT(**cfg, output='embedding', lora=LORA))
    for other in (plain, again):
        load_state_dict(other, weights, strict=True)
        torch.testing.assert_close(
            other.backbone(clips), adapted.backbone(clips), rtol=0, atol=1e-5)
        assert other.cls_head.weight.equal(adapted.cls_head.weight)
    load_state_dict(again, plain.state_dict(), strict=True)
    assert again.backbone.resblocks[0].attn.qkv.base_layer.weight.equal(
        plain.backbone.resblocks[0].attn.qkv.weight)


def test_a_part_takes_its_weights_from_a_checkpoint_with_adapters(adapted, model_cfg, tmp_path):
    torch.save(dict(state_dict=adapted.state_dict()), tmp_path / 'lora.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'lora.pth'))
    for lora in ({}, dict(lora=LORA)):
        cfg = {key: value for key, value in model_cfg['backbone'].items() if key != 'type'}
        backbone = SpaceTimeViT(**cfg, **lora, init_cfg=init_cfg)
        backbone.init_weights()
        expected = adapted.backbone.state_dict()
        expected = expected if lora else merge_lora(expected)
        for name, value in backbone.state_dict().items():
            torch.testing.assert_close(value, expected[name])


def test_it_is_built_without_memory(model_cfg):
    with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = with_lora(model_cfg)
    assert all(value.is_meta for value in model.parameters())


@pytest.mark.parametrize(('part', 'lora', 'message'), [
    ('backbone', dict(rank=0), r'lora\.rank must be a whole number of at least 1, not 0'),
    ('backbone', dict(rank=2, alpha=0), r'lora\.alpha must be positive'),
    ('neck', dict(rank=2, dropout=1), r'lora\.dropout must lie in \[0, 1\)'),
    ('neck', dict(rank=2, targets=['qkv']), r'in PartiallyFrozenTextEncoder there are fc1, .*not '
                                            'qkv'),
])
def test_wrong_options(model_cfg, part, lora, message):
    model_cfg[part]['lora'] = lora
    with pytest.raises(ValueError, match=message):
        VideoTextModel(**model_cfg)


def test_a_frozen_part_has_nothing_to_adapt(model_cfg):
    model_cfg['backbone'].update(frozen=True, lora=LORA)
    with pytest.raises(ValueError, match='no linear layer of SpaceTimeViT would be trained'):
        VideoTextModel(**model_cfg)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda x: x.pop('backbone.lora_scale'), 'no scale'),
    (lambda x: x.update({'backbone.lora_scale': torch.ones(2)}), 'no scale'),
    (lambda x: x.pop('backbone.resblocks.1.mlp.c_fc.lora_B.default.weight'), 'c_fc .*do not fit'),
    (lambda x: x.update({'backbone.resblocks.1.mlp.c_fc.lora_B.default.weight': torch.ones(2, 2)}),
     'c_fc .*do not fit'),
    (lambda x: x.update({'backbone.resblocks.1.mlp.c_fc.lora_A.default.weight': torch.tensor(1.)}),
     'c_fc .*do not fit'),
    (lambda x: x.pop('backbone.resblocks.1.mlp.c_fc.base_layer.weight'), 'c_fc .*do not fit'),
])
def test_damaged_adapters_are_one_error(adapted, model, change, message):
    weights = dict(adapted.state_dict())
    change(weights)
    with pytest.raises(CheckpointError, match=message):
        model.load_state_dict(weights)


def test_merged_weights_keep_their_dtype(adapted):
    weights = {name: value.bfloat16() for name, value in adapted.state_dict().items()}
    merged = merge_lora(weights)
    assert {value.dtype for value in merged.values()} == {torch.bfloat16}
    assert merged.keys() == without_adapters(weights).keys() and not adapters_of(merged)
