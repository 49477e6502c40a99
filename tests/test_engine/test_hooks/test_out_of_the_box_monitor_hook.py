import logging
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS as MMACTION
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.runner.priority import get_priority

from tests.test_engine.test_hooks.three_videos import HEAD, Loader, batch, own_figure
from tests.tiny_model import CONFIG, build_tiny_model
from tvtsv2_mm.engine.hooks import OutOfTheBoxMonitorHook
from tvtsv2_mm.registry import HOOKS
from tvtsv2_mm.utils.tokenizer import ClipTokenizer

DRIFT, FIGURE = 'out_of_the_box/text_drift', 'out_of_the_box/zero_shot'


def build_loader(cfg):
    """Draws of every generator, as loading may."""
    random.random(), np.random.rand(), torch.rand(1)
    return Loader([batch()])


@pytest.fixture
def run(tmp_path, caplog):
    """A run of a model that a hook is to watch."""
    caplog.set_level(logging.INFO, 'monitor')
    (tmp_path / 'test.txt').touch()
    told = []

    class Run(SimpleNamespace):
        def step(self, hook):
            """One iteration, of which the hook hears."""
            hook.after_train_iter(self, self.iter)
            self.iter += 1
            return told[-1][0]

    return Run(
        model=build_tiny_model(), cfg=Config(dict(load_from='x.pth')), iter=0, max_iters=100,
        hooks=[], timestamp='now', logger=logging.getLogger('monitor'), told=told,
        message_hub=MessageHub.get_instance(str(tmp_path)), build_dataloader=build_loader,
        build_evaluator=Evaluator, visualizer=SimpleNamespace(
            add_scalars=lambda found, step, file_path: told.append((found, step))),
        probe=dict(dataloader=dict(dataset=dict(data_root=str(tmp_path), ann_file='test.txt')),
                   evaluator=dict(type='TopKAccuracy', topk=(1, )), cls_head=HEAD))


def watch(**options):
    return OutOfTheBoxMonitorHook(**(dict(interval=1, context_length=32) | options))


def embed(model, texts):
    with torch.no_grad():
        return F.normalize(model.neck(ClipTokenizer(32)(texts)), dim=-1)


def warnings_of(caplog):
    return [record.message for record in caplog.records if record.levelname == 'WARNING']


def test_our_texts_are_of_four_kinds_and_fit():
    texts = watch().texts
    assert len(texts) == len(set(texts)) == 48
    assert sum(text.endswith('?') for text in texts) == 12
    assert ClipTokenizer(32).tokenize(texts)[1] == 0  # of the tiny model, the shortest context


def test_drift_is_the_mean_of_one_minus_cosine(run):
    hook, model = watch(), run.model
    before = embed(model, hook.texts)
    hook.before_train(run)
    assert run.told == [({DRIFT: 0.0}, 0)]
    assert run.step(hook) == {DRIFT: 0.0}  # nothing was trained
    drifts = []
    for _ in range(2):
        with torch.no_grad():
            for value in model.neck.parameters():
                value.add_(0.02 * torch.randn_like(value))
        drifts.append(run.step(hook)[DRIFT])
        expected = 1 - F.cosine_similarity(before, embed(model, hook.texts)).mean().item()
        assert drifts[-1] == pytest.approx(expected, abs=1e-6)
    assert 1e-3 < drifts[0] < drifts[1]
    assert [step for _, step in run.told] == [0, 1, 2, 3]


def test_the_probe_set(run, caplog):
    hook, model = watch(**run.probe, benchmark='three', max_zero_shot_fall=10.0), run.model
    expected = own_figure(model)
    hook.before_train(run)
    assert run.told[0] == ({DRIFT: 0.0, FIGURE: pytest.approx(expected)}, 0)
    assert model.cls_head is None and not model.has_learnt
    # What validation measures, hooks behind this one find in its metrics.
    metrics = {'t2v/R1': 1.0}
    hook.after_val_epoch(run, metrics)
    assert metrics == {'t2v/R1': 1.0, DRIFT: 0.0, FIGURE: pytest.approx(expected)}
    assert len(run.told) == 1  # it was known
    run.iter = 7
    hook.after_val_epoch(run, metrics)
    assert run.told[-1][1] == 7
    assert caplog.messages[-1] == (f'out of the box, iteration 7: text drift 0.0000, zero-shot on '
                                   f'three {expected:.2f} ({expected:.2f} at the start)')
    hook.after_train(run)
    hook.after_val_epoch(run, {})
    assert len(run.told) == 2
    order = [get_priority(kind.priority) for kind in (
        EMAHook, OutOfTheBoxMonitorHook, CheckpointHook, HOOKS.get('EarlyStoppingHook'))]
    assert order == sorted(set(order))


def test_a_warning_for_each_crossing(run, caplog, monkeypatch):
    figures, hook = iter([50.0, 44.9, 40.0, 45.0, 44.0]), watch(**run.probe)
    monkeypatch.setattr(hook.__class__.__module__ + '.test_on',
                        lambda *args: {'acc/top1': next(figures)})
    hook.before_train(run)
    projection = run.model.neck.clip.text_projection.weight
    assert not warnings_of(caplog)
    with torch.no_grad():
        projection.neg_()
    assert run.step(hook)[DRIFT] == pytest.approx(2)
    [drift, fall] = warnings_of(caplog)
    assert 'drift 2.0000, more than 0.' in drift and 'frozen_layers' in drift and 'lr_' in drift
    assert 'zero-shot fell from 50.0 to 44.9, by more than 5.0. Freeze more layers, low' in fall
    run.step(hook)
    assert len(warnings_of(caplog)) == 2  # it is still there
    with torch.no_grad():
        projection.neg_()
    run.step(hook)
    assert len(warnings_of(caplog)) == 2
    with torch.no_grad():
        projection.neg_()
    run.step(hook)
    assert len(warnings_of(caplog)) == 4


def test_the_limit_is_the_way_to_the_nearest_text(run, caplog):
    hook = watch(texts=['a dog', 'a cat', 'stir the soup'])
    hook.before_train(run)
    start = embed(run.model, hook.texts).double()
    distances = torch.cdist(start, start).fill_diagonal_(9).amin(dim=1)
    limit = (distances ** 2 / 2).mean().item()
    for length, warned in ((0.99, 0), (1.01, 1)):
        moved = start.clone()
        moved[:, 0] += (2 * limit * length) ** 0.5
        hook._encode = lambda model, moved=moved: moved
        run.step(hook)
        assert len(warnings_of(caplog)) == warned


def test_training_is_not_disturbed(run):
    hook, model = watch(**run.probe), run.model.train()
    model.neck.eval()
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    hook.before_train(run)
    run.step(hook)
    assert [module.training for module in model.modules()] == modes
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_averages_are_what_is_watched(run):
    average = EMAHook(momentum=0.5)
    average.before_run(run)
    run.hooks = [average]
    hook = watch()
    before = embed(run.model, hook.texts)
    hook.before_train(run)
    with torch.no_grad():
        run.model.neck.clip.text_projection.weight.add_(0.1)
    own = [value.clone() for value in run.model.parameters()]
    assert run.step(hook) == {DRIFT: 0.0}  # of the average, which has not heard of it
    for _ in range(2):  # the first one is copied
        average.after_train_iter(run, 0)
    drift = run.step(hook)[DRIFT]
    moved = embed(average.ema_model.module.eval(), hook.texts)
    assert drift == pytest.approx((1 - (moved * before).sum(dim=-1)).mean().item(), abs=1e-6)
    assert drift > 1e-4
    assert all(torch.equal(one, other) for one, other in zip(
        run.model.parameters(), own, strict=True))


@pytest.mark.parametrize('change', [
    lambda run: run.cfg.update(load_from=None),
    lambda run: setattr(run.model, 'load_report', dict(new=['neck.clip.x']))])
def test_random_weights_have_nothing_to_lose(run, caplog, change):
    change(run)
    hook = watch(**run.probe)
    hook.before_train(run)
    assert 'it starts from random weights' in caplog.text
    assert {*run.told[0][0]} == {FIGURE}
    hook = watch()
    hook.before_train(run)
    run.step(SimpleNamespace(after_train_iter=hook.after_train_iter))
    assert len(run.told) == 1


def test_a_run_that_goes_on(run, caplog):
    hook, projection = watch(**run.probe), run.model.neck.clip.text_projection.weight
    hook.before_train(run)
    with torch.no_grad():
        projection.add_(0.1)
    found = run.step(hook)
    hub = run.message_hub
    hub.load_state_dict(hub.state_dict())
    hook = watch(**run.probe)
    hook.before_train(run)
    assert run.step(hook) == found and len(run.told) == 3
    with pytest.raises(ValueError, match=r'Hook\.texts: the run goes on from one that was watched'):
        watch(texts=['a', 'b']).before_train(run)
    for odd in (None, 'x', dict(), dict(texts=hook.texts, embeds='x', zero_shot='x'),
                dict(texts=hook.texts, embeds=torch.ones(48, 3))):  # of a foreign file, or of none
        hub.update_info('out_of_the_box', odd)
        hook = watch(**run.probe)
        hook.before_train(run)
        assert {*run.step(hook)} == {FIGURE}
    assert len([text for text in warnings_of(caplog) if 'one that was not watched' in text]) == 3


def test_what_cannot_be_watched_is_one_error(run, tmp_path):
    with DefaultScope.overwrite_default_scope('mmaction'):
        backbone = dict(Config.fromfile(CONFIG).model.backbone, type='tvtsv2_mm.SpaceTimeViT',
                        output='embedding')
        recognizer = MMACTION.build(dict(
            type='Recognizer3D', backbone=backbone,
            cls_head=dict(type='TimeSformerHead', num_classes=2, in_channels=64)))
    run.model, model = recognizer, run.model
    with pytest.raises(ValueError, match='of a VideoTextModel, and this Recognizer3D has none'):
        watch().before_train(run)
    run.model = model
    run.hooks = [CheckpointHook(save_best=FIGURE, rule='greater')]
    with pytest.raises(ValueError, match=r'CheckpointHook looks at .*zero_shot, which is not '):
        watch().before_train(run)
    watch(**run.probe).before_train(run)
    run.probe['dataloader']['dataset']['ann_file'] = 'none.txt'
    with pytest.raises(FileNotFoundError, match=r'ann_file: there is no .*none\.txt; ann_file=No'):
        watch(**run.probe).before_train(run)
    model.neck = None
    with pytest.raises(ValueError, match='this VideoTextModel has none'):
        watch().before_train(run)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(interval=0), 'interval must be at least 1 iteration, not 0'),
    (dict(texts=['a']), r"texts: two texts or more are needed, not \['a'\]"),
    (dict(texts='none.txt'), r'there is no file none\.txt'),
    (dict(dataloader=dict(batch_size=1)), 'dataloader.dataset.ann_file: the annotations'),
    (dict(dataloader=dict(dataset=dict(ann_file='x'))), 'the probe set needs an evaluator'),
])
def test_options_that_are_none_are_one_error(options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        watch(**options)


def test_texts_of_a_file(tmp_path):
    (tmp_path / 'texts.txt').write_text('a dog\n\nwhat is it?\n')
    assert watch(texts=str(tmp_path / 'texts.txt')).texts == ['a dog', 'what is it?']
    assert watch(dataloader=dict(dataset=dict(ann_file=None))).dataloader is None
