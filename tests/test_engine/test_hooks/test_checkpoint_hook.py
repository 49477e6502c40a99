"""The order in which files come and go; kills are in tests/faults."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from tvtsv2_mm.engine.hooks import CheckpointHook
from tvtsv2_mm.registry import HOOKS


class Run:
    """A Runner, as far as the hook knows it; each checkpoint is a file with its number."""

    logger = SimpleNamespace(info=lambda text: None)

    def __init__(self, folder):
        self.work_dir = str(folder)
        self.message_hub = MessageHub.get_instance(str(folder))
        self.epoch = self.iter = 0
        self.full = False
        self.seen = []

    def save_checkpoint(self, folder, filename=None, *args, **kwargs):
        self.seen.append((filename, self.names()))  # what is there before it is written
        if self.full:
            raise OSError('full')
        Path(folder, filename).write_text(str(self.epoch))

    def names(self):
        return sorted(name for name in os.listdir(self.work_dir) if name != 'last_checkpoint')

    def last(self):
        return Path(Path(self.work_dir, 'last_checkpoint').read_text()).name


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def train(hook, run, epochs, metrics=()):
    """Epochs with a validation each."""
    for epoch, value in zip(range(epochs), metrics or [None] * epochs, strict=True):
        run.epoch = epoch
        hook._save_checkpoint(run)
        run.epoch = epoch + 1
        if value is not None:
            hook._save_best_checkpoint(run, dict(acc=value))


def test_our_configs_have_it_by_its_bare_name():
    assert HOOKS.get('CheckpointHook') is CheckpointHook


@pytest.mark.parametrize('keep', [1, 2, 4])
def test_the_oldest_goes_when_the_next_is_whole(run, keep):
    hook = CheckpointHook(interval=1, max_keep_ckpts=keep)
    hook.before_train(run)
    train(hook, run, 6)
    assert run.names() == [f'epoch_{number}.pth' for number in range(7 - keep, 7)]
    for number, (filename, there) in enumerate(run.seen):
        assert filename == f'epoch_{number + 1}.pth'
        assert there == [f'epoch_{n}.pth' for n in range(max(1, number + 1 - keep), number + 1)]
    assert run.last() == 'epoch_6.pth'
    assert run.message_hub.get_info('keep_ckpt_ids') == [*range(7 - keep, 7)]


def test_a_full_disk_leaves_the_last_good_one(run):
    hook = CheckpointHook(interval=1, max_keep_ckpts=1, save_best='acc', rule='greater')
    hook.before_train(run)
    train(hook, run, 1, [1])
    before = run.names()
    assert before == ['best_acc_epoch_1.pth', 'epoch_1.pth']
    run.full = True
    run.epoch = 1
    for save in (lambda: hook._save_checkpoint(run),
                 lambda: hook._save_best_checkpoint(run, dict(acc=2))):
        with pytest.raises(OSError, match='full'):
            save()
        assert run.names() == before
        assert run.last() == 'epoch_1.pth'


def test_the_best_goes_when_the_better_one_is_whole(run):
    hook = CheckpointHook(interval=1, max_keep_ckpts=1, save_best='acc', rule='greater')
    hook.before_train(run)
    train(hook, run, 4, [1, 3, 2, 4])
    assert run.names() == ['best_acc_epoch_4.pth', 'epoch_4.pth']
    for filename, there in run.seen[2:]:
        assert any(name.startswith('best') for name in there), filename
    # Validated again after a resume: the same name is written again, and stays.
    run.message_hub.update_info('best_score', 3)
    hook._save_best_checkpoint(run, dict(acc=4))
    assert run.names() == ['best_acc_epoch_4.pth', 'epoch_4.pth']


def test_several_best_ones(run):
    hook = CheckpointHook(interval=1, save_best=['acc', 'top'], rule='greater')
    hook.before_train(run)
    for epoch, (acc, top) in enumerate([(1, 1), (2, 1), (1, 3)]):
        run.epoch = epoch
        hook._save_checkpoint(run)
        run.epoch = epoch + 1
        hook._save_best_checkpoint(run, dict(acc=acc, top=top))
    assert [name for name in run.names() if name.startswith('best')] == [
        'best_acc_epoch_2.pth', 'best_top_epoch_3.pth']


def test_what_a_killed_run_left_is_removed_at_the_start(run, tmp_path):
    (tmp_path / '.epoch_2.pth.part').mkdir()
    (tmp_path / '.epoch_3.pth.0a0a0a0a.part').touch()
    (tmp_path / 'epoch_1.pth').touch()
    CheckpointHook(interval=1).before_train(run)
    assert run.names() == ['epoch_1.pth']


def test_what_a_killed_run_was_about_to_remove_goes_at_the_start_of_the_next(run):
    hook = CheckpointHook(interval=1, max_keep_ckpts=2)
    hook.before_train(run)
    train(hook, run, 3)
    Path(run.work_dir, 'epoch_1.pth').touch()
    CheckpointHook(interval=1, max_keep_ckpts=2).before_train(run)
    assert run.names() == ['epoch_2.pth', 'epoch_3.pth']


def test_fewer_are_kept_than_before(run):
    """The others go at the start; the one that was loaded is the last of them."""
    for number in (1, 2, 3):
        Path(run.work_dir, f'epoch_{number}.pth').touch()
    run.message_hub.update_info('keep_ckpt_ids', [1, 2, 3])
    hook = CheckpointHook(interval=1, max_keep_ckpts=1)
    hook.before_train(run)
    assert run.names() == ['epoch_3.pth']
