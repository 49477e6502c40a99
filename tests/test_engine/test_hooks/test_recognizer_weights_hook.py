import logging
from types import SimpleNamespace

import pytest
import torch
from mmaction.models import Recognizer3D
from mmengine.hooks import EMAHook
from mmengine.runner import save_checkpoint
from mmengine.runner.checkpoint import _load_checkpoint, _load_checkpoint_to_model

from tests.clip_models import make_hugging_face, make_model, randomize
from tvtsv2_mm.checkpoints import CheckpointError, read_weights
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint
from tvtsv2_mm.checkpoints.description import RECORD, metadata_of
from tvtsv2_mm.engine.hooks import RecognizerWeightsHook

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def make_recognizer(num_classes=3, mean=MEAN, **backbone):
    torch.manual_seed(1)
    built_with = make_model().backbone.built_with
    return Recognizer3D(
        data_preprocessor=dict(type='mmaction.ActionDataPreprocessor', mean=mean, std=STD,
                               format_shape='NCTHW'),
        backbone=dict(built_with, type='tvtsv2_mm.SpaceTimeViT', num_frames=4, output='embedding')
        | backbone,
        cls_head=dict(type='mmaction.TimeSformerHead', num_classes=num_classes,
                      in_channels=built_with['embed_dim']))


def runner_of(model, resume=False):
    return SimpleNamespace(model=model, _resume=resume, logger=logging.getLogger('test'))


def load(model, path, *others, resume=False):
    """As a Runner does it; returns the hook and the runner."""
    runner, hook = runner_of(model, resume=resume), RecognizerWeightsHook()
    hooks = sorted([hook, *others], key=lambda each: each.priority != 'HIGH')
    for each in hooks:
        each.before_run(runner)
    checkpoint = _load_checkpoint(str(path), 'cpu')
    for each in hooks:
        each.after_load_checkpoint(runner, checkpoint)
    _load_checkpoint_to_model(model, checkpoint)
    return hook, runner


def save(model, path, runner=None):
    state = dict(state_dict=model.state_dict())
    if runner:
        RecognizerWeightsHook().before_save_checkpoint(runner, state)
    save_checkpoint(state, str(path))


@pytest.mark.parametrize('layout', ['own', 'Hugging Face'])
def test_any_layout_comes_in_and_a_test_needs_a_head(tmp_path, layout):
    """The running average gets the same; what is not the backbone's is told, and the new head."""
    source = make_model()
    if layout == 'own':
        randomize(source)
        save(source, tmp_path / 'x.pth')
    else:
        clip = make_hugging_face('quick_gelu')
        randomize(clip)
        torch.save(clip.state_dict(), tmp_path / 'x.pth')
        source.load_state_dict(clip.state_dict())
    model, average = make_recognizer(), EMAHook()
    head = model.cls_head.fc_cls.weight.clone()
    hook, runner = load(model, tmp_path / 'x.pth', average)
    for own in (model, average.ema_model.module):
        assert torch.equal(own.cls_head.fc_cls.weight, head)
        for key in ('conv1.weight', 'resblocks.0.attn.qkv.weight', 'proj'):
            assert torch.equal(own.backbone.state_dict()[key], source.backbone.state_dict()[key])
    report = model.load_report
    assert {'cls_head.fc_cls.weight', 'cls_head.fc_cls.bias'} <= set(report['new'])
    assert any(key.startswith('neck.') for key in report['unneeded'])
    with pytest.raises(CheckpointError, match='no cls_head that is trained'):
        hook.before_test(runner)
    hook.before_train(runner)
    hook.before_test(runner)


def test_its_own_checkpoint_and_what_no_tensor_tells(tmp_path):
    model = make_recognizer()
    randomize(model)
    save(model, tmp_path / 'x.pth', runner_of(model))
    record = metadata_of(read_weights(tmp_path / 'x.pth')[0])[RECORD]
    assert record['data_preprocessor']['mean'] == pytest.approx(MEAN)
    other = make_recognizer()
    hook, runner = load(other, tmp_path / 'x.pth')
    hook.before_test(runner)
    assert other.load_report['new'] == [] and other.load_report['assumed'] == []
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(CheckpointError, match=r'backbone\.activation.*\n.*data_preprocessor\.mean'):
        load(make_recognizer(mean=[1, 2, 3], activation='gelu'), tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='sizes differ'):
        load(make_recognizer(mlp_width=8), tmp_path / 'x.pth')


def test_a_head_of_other_classes_stays_behind(tmp_path):
    save(make_recognizer(num_classes=7), tmp_path / 'x.pth')
    model = make_recognizer()
    hook, runner = load(model, tmp_path / 'x.pth')
    assert model.load_report['dropped'] == ['cls_head.fc_cls.weight', 'cls_head.fc_cls.bias']
    assert set(model.load_report['dropped']) == set(model.load_report['new'])
    with pytest.raises(CheckpointError, match='no cls_head that is trained'):
        hook.before_test(runner)


def test_a_run_that_resumes_has_its_own_weights(tmp_path):
    model = make_recognizer()
    save(model, tmp_path / 'x.pth')
    other = make_recognizer()
    randomize(other)
    load(other, tmp_path / 'x.pth', resume=True)
    assert other.backbone.load_report is None
    assert torch.equal(other.backbone.proj, model.backbone.proj)


def test_other_backbones():
    model = torch.nn.ModuleDict(dict(backbone=torch.nn.Linear(1, 1)))
    with pytest.raises(ValueError, match='for backbones of this package, not for a Linear'):
        RecognizerWeightsHook().before_run(runner_of(model))


@torch.no_grad()
@pytest.mark.parametrize('lora', [None, dict(rank=2)])
@pytest.mark.parametrize('with_config', [False, True])
def test_a_converted_checkpoint_gives_the_same_scores(tmp_path, lora, with_config):
    """With its head, adapters merged: into a file that any recognizer of this kind takes."""
    source = make_recognizer(lora=lora).eval()
    randomize(source)
    save(source, tmp_path / 'x.pth', runner_of(source))
    config = dict(
        type='mmaction.Recognizer3D', backbone=dict(
            source.backbone.built_with, type='SpaceTimeViT', num_frames=4, output='embedding'),
        cls_head=dict(type='mmaction.TimeSformerHead', num_classes=3, in_channels=24))
    names = convert_checkpoint(tmp_path / 'x.pth', tmp_path / 'y.safetensors',
                               model=config if with_config else None)
    assert not any('lora' in name for name in names)
    model = make_recognizer().eval()
    hook, runner = load(model, tmp_path / 'y.safetensors')
    hook.before_test(runner)
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    torch.testing.assert_close(model(clips, stage='head'), source(clips, stage='head'),
                               atol=1e-5, rtol=0)


def test_a_head_is_not_lost_in_conversion(tmp_path):
    model = make_recognizer()
    save(model, tmp_path / 'x.pth')
    assert inspect_checkpoint(tmp_path / 'x.pth').unused == [
        'cls_head.fc_cls.weight', 'cls_head.fc_cls.bias']
    encoder = dict(type='VideoTextModel', backbone=dict(
        model.backbone.built_with, type='SpaceTimeViT', num_frames=4))
    probe = dict(encoder, cls_head=dict(type='LinearProbeHead', num_classes=3, embed_dim=24))
    for options, message in (
            (dict(to='release'), r'no place for:\n  cls_head\.fc_cls\.weight.*\n.*\n\(--config of'),
            (dict(model=probe), r'cls_head \(cls_head\.fc_cls\..*\) is of another kind than that '
                                r'of the config \(cls_head\.fc\.')):
        with pytest.raises(CheckpointError, match=message):
            convert_checkpoint(tmp_path / 'x.pth', tmp_path / 'y.pth', **options)
    names = convert_checkpoint(tmp_path / 'x.pth', tmp_path / 'y.pth', model=encoder)
    assert names and not any('head' in name for name in names)  # the config has none
