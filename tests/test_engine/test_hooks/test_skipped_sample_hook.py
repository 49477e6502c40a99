from types import SimpleNamespace

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from tests.helpers import run_ranks
from tvtsv2_mm.engine.hooks import SkippedSampleHook


def make_sample(*skipped):
    sample = ActionDataSample()
    sample.set_metainfo(dict(skipped=[dict(path=path, reason=why) for path, why in skipped]))
    return sample


class Log:
    """A runner, as far as the hook knows it."""

    def __init__(self):
        self.lines = []
        self.logger = SimpleNamespace(info=self.lines.append)


def run_epoch(hook, batches, log=None):
    log = log or Log()
    hook.before_train_epoch(log)
    for i, samples in enumerate(batches):
        hook.after_train_iter(log, i, dict(data_samples=samples))
    hook.after_train_epoch(log)
    return log.lines[-1]


EMPTY, SHORT = 'the file is empty', 'its {} s are less than the 15 s that 4 segments take'


def test_report_by_cause_and_by_file():
    hook = SkippedSampleHook(max_share=1)
    report = run_epoch(hook, [
        [make_sample(('a.mp4', EMPTY)), make_sample()],
        [make_sample(('b.mp4', SHORT.format(7.5)), ('c.mp4', SHORT.format(12))), make_sample()],
    ])
    assert report.splitlines() == [
        '3 of 7 drawn samples were skipped (42.86%), by cause:',
        '  2 x its N s are less than the N s that N segments take',
        '  1 x the file is empty',
        'in 3 files:',
        '  a.mp4: the file is empty',
        '  b.mp4: its 7.5 s are less than the 15 s that 4 segments take',
        '  c.mp4: its 12 s are less than the 15 s that 4 segments take',
    ]


def test_each_epoch_is_counted_anew():
    hook = SkippedSampleHook(max_share=1)
    run_epoch(hook, [[make_sample(('a.mp4', EMPTY))]])
    report = run_epoch(hook, [[make_sample(), make_sample()]])
    assert report == 'no sample was skipped, 2 were used'


def test_a_file_skipped_again_and_again_is_named_once():
    report = run_epoch(SkippedSampleHook(max_share=1), [[make_sample(('a.mp4', EMPTY))]] * 5)
    assert '  5 x the file is empty\nin 1 files:\n  a.mp4: the file is empty' in report


def test_long_lists_are_cut():
    samples = [make_sample((f'{i}.mp4', EMPTY)) for i in range(9)]
    report = run_epoch(SkippedSampleHook(max_share=1, max_listed=4), [samples])
    assert report.endswith('  3.mp4: the file is empty\n  ... and 5 more')


def test_too_many_stop_the_run_while_it_runs():
    hook = SkippedSampleHook(max_share=0.25, min_samples=10, check_interval=2)
    bad = [make_sample(('a.mp4', EMPTY)), make_sample()]
    hook.before_train_epoch(Log())
    for i in range(3):  # 9 drawn: too few to judge
        hook.after_train_iter(Log(), i, dict(data_samples=bad))
    with pytest.raises(RuntimeError, match=r'^training stops: 4 of 12 drawn .*max_share=0\.25.*$'):
        hook.after_train_iter(Log(), 3, dict(data_samples=bad))


def test_a_share_at_the_limit_goes_on():
    hook = SkippedSampleHook(max_share=0.5, min_samples=1, check_interval=1)
    assert '50.00%' in run_epoch(hook, [[make_sample(('a.mp4', EMPTY))]])


def test_the_end_of_the_epoch_checks_too():
    hook = SkippedSampleHook(max_share=0.1, min_samples=2, check_interval=1000)
    with pytest.raises(RuntimeError, match='1 of 2 drawn samples cannot be used'):
        run_epoch(hook, [[make_sample(('a.mp4', EMPTY))]])


def test_batches_without_records():
    hook = SkippedSampleHook()
    assert run_epoch(hook, [[ActionDataSample()], []]) == 'no sample was skipped, 1 were used'
    hook.after_train_iter(Log(), 0, dict(inputs=1))
    hook.after_train_iter(Log(), 0, None)


def check_two_ranks(rank, world_size):
    # Rank 1 alone has bad samples; both must know, and both must stop at the same iteration.
    hook = SkippedSampleHook(max_share=1)
    bad = [make_sample((f'{rank}.mp4', EMPTY)), make_sample()]
    good = [make_sample(), make_sample()]
    report = run_epoch(hook, [bad if rank else good] * 3)
    assert report.startswith('3 of 15 drawn samples')
    hook = SkippedSampleHook(max_share=0.1, min_samples=15, check_interval=1)
    hook.before_train_epoch(Log())
    for i in range(2):
        hook.after_train_iter(Log(), i, dict(data_samples=bad if rank else good))
    with pytest.raises(RuntimeError, match='3 of 15 drawn samples'):
        hook.after_train_iter(Log(), 2, dict(data_samples=bad if rank else good))


def test_sums_over_two_ranks():
    run_ranks(2, check_two_ranks)


class Numbers(Dataset):

    def __len__(self):
        return 8

    def __getitem__(self, index):
        skipped = [('a.mp4', EMPTY)] if index == 3 else []
        return dict(inputs=torch.ones(2), data_samples=make_sample(*skipped))


class Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return dict(loss=(torch.stack(inputs) * self.weight).sum())


def test_in_a_training_run(tmp_path):
    runner = Runner(
        model=Model(), work_dir=str(tmp_path),
        train_dataloader=dict(dataset=Numbers(), batch_size=2, num_workers=0,
                              sampler=dict(type='DefaultSampler', shuffle=True)),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='SkippedSampleHook', max_share=0.5)],
        default_scope='tvtsv2_mm', experiment_name='skipped_sample_hook')
    runner.train()
    [log] = tmp_path.glob('**/*.log')
    assert log.read_text().count('1 of 9 drawn samples were skipped (11.11%)') == 2


@pytest.mark.parametrize('kwargs', [
    dict(max_share=1.5), dict(min_samples=0), dict(check_interval=0), dict(max_listed=0),
])
def test_wrong_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        SkippedSampleHook(**kwargs)
