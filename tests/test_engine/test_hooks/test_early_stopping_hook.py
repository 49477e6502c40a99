"""Early stopping with averaged weights on masked clips, whole and resumed."""

from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric

from tests.test_engine.test_strategies.test_fully_shard_strategy import build
from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.engine.hooks import EarlyStoppingHook
from tvtsv2_mm.registry import METRICS

SCORES = dict(zip(range(1, 9), (0.5, 0.6, 0.6, 0.55, 0.6, 0.7, 0.8, 0.9), strict=True))
HOOKS = [dict(type='ResumeDataHook'), dict(type='EMAHook', momentum=0.3),
         dict(type='EarlyStoppingHook', monitor='score', rule='greater', min_delta=0.01,
              patience=3)]


@METRICS.register_module()
class ScoreOfEarlyStoppingTest(BaseMetric):
    """The score of the epoch in a list, whatever is validated."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        self.epochs.append(self.runner.epoch)
        return dict(score=SCORES[self.runner.epoch])


def train(work_dir, **options):
    runner = build(
        work_dir, custom_hooks=HOOKS, train_cfg=dict(max_epochs=8),
        train_dataloader=dict(batch_size=8), val_evaluator=dict(
            _delete_=True, type='ScoreOfEarlyStoppingTest'),
        default_hooks=dict(checkpoint=dict(by_epoch=True, interval=1, save_best='score',
                                           rule='greater')), **options)
    [metric] = runner.val_loop.evaluator.metrics
    metric.runner, metric.epochs = runner, []
    runner.train()
    [hook] = [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
    averages = next(hook for hook in runner.hooks if hasattr(hook, 'ema_model')).ema_model.module
    return dict(epoch=runner.epoch, validated=metric.epochs,
                counted=(hook.wait_count, hook.best_score),
                best={path.name for path in Path(work_dir).glob('best*')},
                weights={**runner.model.state_dict()}, averages={**averages.state_dict()})


@pytest.mark.parametrize('runner_type', ['Runner', 'FlexibleRunner'])
def test_a_resumed_run_stops_where_a_whole_one_does(tmp_path, monkeypatch, runner_type):
    """Best of 0.6 in epoch 2, not better in the three after it."""
    monkeypatch.setattr('time.sleep', lambda _: None)
    whole = train(tmp_path / 'whole', runner_type=runner_type)
    assert whole['epoch'] == 5 and whole['counted'] == (3, 0.6)
    assert whole['best'] == {'best_score_epoch_2.pth'}
    assert not (tmp_path / 'whole' / 'epoch_6.pth').exists()
    for epoch in (4, 5, 2):
        resumed = train(tmp_path / f'from_{epoch}', runner_type=runner_type, resume=True,
                        load_from=str(tmp_path / 'whole' / f'epoch_{epoch}.pth'))
        # The checkpoint is from before its validation, which comes first.
        assert resumed['validated'] == [*range(epoch, 6)]
        for key in ('epoch', 'counted'):
            assert resumed[key] == whole[key], (epoch, key)
        for key in ('weights', 'averages'):
            for name, value in resumed[key].items():
                assert torch.equal(value, whole[key][name]), (epoch, name)
    best = read_state_dict(tmp_path / 'whole' / 'best_score_epoch_2.pth', weights='ema')
    for name, value in read_state_dict(tmp_path / 'whole' / 'epoch_2.pth').items():
        assert torch.equal(best[name], value)
    runner = build(tmp_path, runner_type=runner_type, custom_hooks=HOOKS,
                   load_from=str(tmp_path / 'whole' / 'best_score_epoch_2.pth'))
    monkeypatch.setattr(type(runner), 'build_train_loop', None)
    runner.test()  # of the averages, and nothing of the training is built
