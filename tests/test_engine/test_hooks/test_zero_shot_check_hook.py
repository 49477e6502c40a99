import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmaction.registry import MODELS as MMACTION
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope

from tests.test_engine.test_hooks.three_videos import HEAD, Loader, batch, own_figure
from tests.tiny_model import CONFIG, build_tiny_model
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.engine.hooks import ZeroShotCheckHook

SIZES = dict(Config.fromfile(CONFIG).model.backbone)


@pytest.fixture
def made(tmp_path):
    """A hook, and a run of a model that it is to look at."""
    (tmp_path / 'test.txt').touch()

    def make(trained, cfg, **options):
        hook = ZeroShotCheckHook(
            dataloader=dict(dataset=dict(data_root=str(tmp_path), ann_file='test.txt')),
            evaluator=dict(type='TopKAccuracy', topk=(1, )), benchmark='three', cls_head=HEAD,
            **options)
        runner = SimpleNamespace(
            model=trained, cfg=Config(dict(model=cfg, load_from='x.pth')), iter=0, hooks=[],
            log_dir=str(tmp_path), work_dir=str(tmp_path), logger=logging.getLogger('check'),
            message_hub=MessageHub.get_instance(str(tmp_path)),
            build_dataloader=lambda cfg: Loader([batch()]), build_evaluator=Evaluator)
        return hook, runner
    return make


def test_before_and_after(made, caplog):
    caplog.set_level(logging.INFO, 'check')
    model = build_tiny_model()
    hook, runner = made(model, Config.fromfile(CONFIG).model)
    before = own_figure(model)
    state, random = model.training, torch.random.get_rng_state()
    hook.before_train(runner)
    # Training draws as if nothing had been before it.
    assert model.training is state and torch.random.get_rng_state().equal(random)
    found = before
    while found == before:  # other weights, other figures
        with torch.no_grad():
            model.backbone.proj.normal_()
        found = own_figure(model)
    hook.after_train(runner)
    assert (f'after (the weights at the end): acc/top1 {before:.2f} -> {found:.2f}'
            in caplog.records[-1].message)
    assert caplog.records[-1].levelname == ('WARNING' if found < before else 'INFO')
    told = json.loads(Path(runner.log_dir, 'result.json').read_text())
    assert told['zero_shot_check']['before']['acc/top1'] == pytest.approx(before)
    assert told['metrics']['raw']['acc/top1'] == pytest.approx(found)


def make_recognizer(**changes):
    with DefaultScope.overwrite_default_scope('mmaction'):
        return MMACTION.build(dict(
            type='Recognizer3D',
            backbone=dict(SIZES, **changes, type='tvtsv2_mm.SpaceTimeViT', output='embedding'),
            cls_head=dict(type='TimeSformerHead', num_classes=2, in_channels=64)))


def test_a_recognizer_keeps_the_text_encoder_of_the_checkpoint(made, tmp_path, caplog):
    caplog.set_level(logging.INFO, 'check')
    source, recognizer = build_tiny_model(), make_recognizer()
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'tiny.pth')
    recognizer.backbone.load_state_dict(source.backbone.state_dict())
    cfg = dict(type='Recognizer3D', backbone=dict(type='tvtsv2_mm.SpaceTimeViT'))
    hook, runner = made(recognizer, cfg)
    with pytest.raises(ValueError, match='a Recognizer3D has no text encoder; give the hook model'):
        hook.before_train(runner)
    model = Config.fromfile(CONFIG).model
    hook, runner = made(recognizer, cfg, model=model)
    with pytest.raises(CheckpointError, match=r'no neck\S+ .*and the checkpoint'):
        hook.before_train(runner)
    runner.cfg.load_from = None
    hook.before_train(runner)
    assert 'left out: the model has no text encoder, and the run starts from no' in caplog.text
    hook, runner = made(recognizer, cfg, model=model, checkpoint=str(tmp_path / 'tiny.pth'))
    hook.before_train(runner)
    with torch.no_grad():
        recognizer.backbone.proj.mul_(-1)
        source.backbone.proj.mul_(-1)
    torch.save(dict(state_dict=recognizer.state_dict()), tmp_path / 'best_x_epoch_3.pth')
    # A run that goes on from this one, where the checkpoint that it began with is gone.
    start = (tmp_path / 'tiny.pth').rename(tmp_path / 'start.pth')
    hook, runner = made(recognizer, cfg, model=model, checkpoint=str(tmp_path / 'tiny.pth'))
    runner.iter, runner.hooks = 5, [SimpleNamespace(save_best='x')]
    hook.before_train(runner)
    hook.after_train(runner)
    assert 'before -> after (best_x_epoch_3.pth): acc/top1 ' in caplog.text
    told = runner.message_hub.get_info('zero_shot_check')
    assert told['weights'] == str(tmp_path / 'best_x_epoch_3.pth')
    assert told['after']['acc/top1'] == pytest.approx(own_figure(source))

    hub, name = runner.message_hub, 'zero_shot_check/classes'
    hub.update_info(name, hub.get_info(name)[:2])
    with pytest.raises(CheckpointError, match=r'the shape \(2, 64\), and .*\(3, 64\)'):
        hook.after_train(runner)
    for odd in ('x', torch.ones(3), None):  # of a foreign file, or of none
        hub.update_info(name, odd)
        with pytest.raises(FileNotFoundError, match=r'check\.checkpoint: there is no .*tiny\.pth'):
            hook.before_train(runner)

    hook, runner = made(make_recognizer(width=48), cfg, model=model, checkpoint=str(start))
    runner.message_hub.pop_info('zero_shot_check')
    with pytest.raises(CheckpointError, match=r'no backbone\.\S+ of the shape'):
        hook.before_train(runner)


def test_a_run_that_goes_on(made, caplog):
    caplog.set_level(logging.INFO, 'check')
    hook, runner = made(build_tiny_model(), Config.fromfile(CONFIG).model)
    runner.iter = 5
    hook.before_train(runner)
    assert 'the run goes on from one that had none' in caplog.text
    hook.after_train(runner)  # nothing to compare with
    for odd in ('x', dict(before=[1]), dict(before={'acc/top1': 'x'})):  # from a foreign file
        runner.message_hub.update_info('zero_shot_check', odd)
        hook.after_train(runner)
    runner.message_hub.update_info('zero_shot_check', dict(before={'acc/top1': 12.0}))
    hook.before_train(runner)
    hook.after_train(runner)
    assert runner.message_hub.get_info('zero_shot_check')['before'] == {'acc/top1': 12.0}
    assert 'acc/top1 12.00 -> ' in caplog.text
