"""By whose schedule a run goes on."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from tvtsv2_mm.apis.launch.schedule import settle_schedule
from tvtsv2_mm.checkpoints import CheckpointError

PER_EPOCH = 5
STEPS = [dict(type='MultiStepLR', by_epoch=True, milestones=[1, 3], gamma=0.5)]
WARM = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=7),
        dict(type='CosineAnnealingLR', by_epoch=True, T_max=6, eta_min=1e-3)]
LONGER = [WARM[0], dict(WARM[1], T_max=12)]


class Run:
    """A Runner before it resumes, as far as it matters here."""

    def __init__(self, schedule, lr=1.0, groups=1, length=6, by_epoch=True):
        parameters = [dict(params=[torch.nn.Parameter(torch.ones(2))]) for _ in range(groups)]
        optimizer = torch.optim.SGD(parameters, lr=lr, momentum=0.9)
        self.optim_wrapper = OptimWrapper(optimizer)
        self.param_schedulers = [PARAM_SCHEDULERS.build(
            one, default_args=dict(optimizer=self.optim_wrapper)) for one in schedule or []]
        kind = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
        self.train_loop = kind.__new__(kind)
        self.train_loop._max_epochs = self.train_loop._max_iters = length
        self.train_dataloader = range(PER_EPOCH)
        self.logger = logging.getLogger('schedule')
        self.length = {'max_epochs' if by_epoch else 'max_iters': length}

    def train(self, steps, begin=0):
        """The learning rates of steps; schedules step as ParamSchedulerHook has them."""
        rates = []
        for step in range(begin + 1, begin + steps + 1):
            rates.append([group['lr'] for group in self.optim_wrapper.param_groups])
            for one in self.param_schedulers:
                if not one.by_epoch or step % PER_EPOCH == 0:
                    one.step()
        return rates

    def checkpoint(self, steps):
        return dict(
            meta=dict(epoch=steps // PER_EPOCH, iter=steps),
            optimizer=self.optim_wrapper.state_dict(),
            param_schedulers=[one.state_dict() for one in self.param_schedulers],
            message_hub=dict(runtime_info=dict(self.length)))

    def resume(self, checkpoint, new=False):
        settle_schedule(self, checkpoint, new=new)
        self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        for one, state in zip(self.param_schedulers, checkpoint['param_schedulers'], strict=False):
            one.load_state_dict(state)


def go_on(first, then, steps=10, new=False):
    first.train(steps)
    then.resume(first.checkpoint(steps), new)
    return then.train(20, begin=steps)


@pytest.mark.parametrize('schedule', [STEPS, WARM, None])
@pytest.mark.parametrize('new', [False, True])
def test_nothing_is_said_where_nothing_is_different(schedule, new, caplog):
    assert go_on(Run(schedule), Run(schedule), new=new) == Run(schedule).train(30)[10:]
    assert not caplog.messages


@pytest.mark.parametrize('steps', [10, 13])
@pytest.mark.parametrize('groups', [1, 2])
@pytest.mark.parametrize(('before', 'after', 'lr', 'told'), [
    (WARM, LONGER, 1.0, 'param_scheduler.1.T_max 6, now 12'),
    (STEPS, [dict(STEPS[0], milestones=[2, 4])], 1.0,
     'param_scheduler.0.milestones [1, 3], now [2, 4]'),
    (WARM, WARM, 0.5, 'learning rates begin with 1.0, now 0.5'),
    (None, None, 0.5, 'learning rates begin with 1.0, now 0.5')])
def test_one_line_says_which_holds(steps, groups, before, after, lr, told, caplog):
    first, then = Run(before, groups=groups), Run(after, lr, groups)
    assert go_on(first, then, steps) == Run(before, groups=groups).train(steps + 20)[steps:]
    assert caplog.messages == [
        f'the schedule of the checkpoint holds, not that of the config: {told} '
        "(--new-schedule takes the config's)"]
    caplog.clear()
    first, then = Run(before, groups=groups), Run(after, lr, groups)
    rates = go_on(first, then, steps, new=True)
    torch.testing.assert_close(rates, Run(after, lr, groups).train(steps + 20)[steps:])
    assert caplog.messages == [
        f'the schedule of the config holds, not that of the checkpoint: {told}']


def test_another_kind_of_schedule(caplog):
    with pytest.raises(CheckpointError, match=r'another kind of schedule .*--new-schedule'):
        go_on(Run(STEPS), Run(WARM))
    with pytest.raises(CheckpointError, match='another kind of schedule'):
        go_on(Run(WARM[:1]), Run(STEPS))
    torch.testing.assert_close(go_on(Run(STEPS), Run(WARM), new=True), Run(WARM).train(30)[10:])
    assert 'not that of the checkpoint: 1 schedulers, now 2' in caplog.text


def test_with_another_number_of_ranks_epochs_are_of_another_length():
    """Two epochs of 3 steps each; the milestone at epoch 1 is passed."""
    run = Run([dict(STEPS[0], milestones=[2, 3])])
    run.train(6)
    checkpoint = run.checkpoint(6)
    checkpoint['meta']['epoch'] = 2
    then = Run(STEPS)
    then.resume(checkpoint, new=True)
    assert then.optim_wrapper.param_groups[0]['lr'] == 0.5
    assert then.param_schedulers[0]._global_step == 2


@pytest.mark.parametrize(('by_epoch', 'name', 'done'), [
    (True, 'max_epochs', 'epoch 2'), (False, 'max_iters', 'iter 10')])
def test_the_length_is_that_of_the_config(by_epoch, name, done, caplog):
    first, then = (Run(STEPS, length=length, by_epoch=by_epoch) for length in (20, 30))
    go_on(first, then)
    assert caplog.messages == [f'{name} of the config holds: 30, not 20 as in the checkpoint '
                               f'(--cfg-options train_cfg.{name}=20)']
    caplog.clear()
    go_on(Run(STEPS, length=2, by_epoch=by_epoch), Run(STEPS, length=2, by_epoch=by_epoch))
    assert caplog.messages == [f'nothing is left to train: the checkpoint is of {done}, and {name} '
                               'is 2']


def test_what_follows_validations_cannot_be_followed_from_the_middle():
    first, then = Run(STEPS), Run(STEPS, lr=0.5)
    then.param_schedulers = [SimpleNamespace(need_val_args=True, state_dict=dict)]
    with pytest.raises(CheckpointError, match='a schedule that follows validations'):
        go_on(first, then, new=True)
