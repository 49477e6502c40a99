"""Which checkpoint a run goes on from, by what is in its folder."""

import logging
import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config

from tests.faults.record import record
from tests.helpers import run_ranks
from tvtsv2_mm.apis.launch import latest
from tvtsv2_mm.apis.launch.latest import agree_on_latest, latest_checkpoint
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.sharded import save_sharded
from tvtsv2_mm.checkpoints.whole import save_whole

LOGGER = logging.getLogger('latest')


def save(path, number=0):
    save_whole(dict(state_dict=dict(a=torch.full((1000, ), number))), path)


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path):
    for number in (1, 2, 10):
        save(tmp_path / f'epoch_{number}.pth', number)
    save(tmp_path / 'best_acc_epoch_11.pth')
    name(tmp_path, 'epoch_10.pth')
    return tmp_path


def name(folder, file):
    (folder / 'last_checkpoint').write_text(str(folder / file) if file else '')


def found(folder, **cfg):
    path = latest_checkpoint(Config(dict(work_dir=str(folder), **cfg)), LOGGER)
    return path and str(Path(path).relative_to(folder))


def test_the_one_that_is_named(folder):
    assert found(folder) == 'epoch_10.pth'
    name(folder, 'epoch_2.pth')  # of a run that was started anew there
    assert found(folder) == 'epoch_2.pth'


def test_one_of_a_run_that_was_told_to_stop(folder):
    for number in (7, 1234):
        save(folder / f'iter_{number}.pth')
    name(folder, 'iter_1234.pth')
    assert found(folder) == 'iter_1234.pth'
    damage(folder / 'iter_1234.pth')
    assert found(folder) == 'iter_7.pth'
    damage(folder / 'iter_7.pth')
    assert found(folder) == 'epoch_10.pth'


@pytest.mark.parametrize('what', ['cut', 'changed', 'empty', 'gone'])
def test_where_it_is_not_whole_the_one_before(folder, caplog, what):
    newest = folder / 'epoch_10.pth'
    os.utime(folder / 'epoch_1.pth', (4e9, 4e9))  # a clock that was set back since
    if what == 'cut':
        os.truncate(newest, newest.stat().st_size - 100)
    elif what == 'changed':
        damage(newest)
    elif what == 'empty':
        newest.write_bytes(b'')
    else:
        newest.unlink()
    assert found(folder) == 'epoch_2.pth'
    [told] = caplog.messages
    assert re.search(r'epoch_10\.pth.*goes on from the one before, .*epoch_2\.pth$', told), told
    damage(folder / 'epoch_2.pth')
    assert found(folder) == 'epoch_1.pth'
    damage(folder / 'epoch_1.pth')
    with pytest.raises(CheckpointError, match=r'epoch_10\.pth.* has no other that is whole'):
        found(folder)


@pytest.mark.parametrize('last', [None, ''])
def test_without_a_name_the_last_by_number(folder, last):
    """Of a run that was killed before it wrote that, or on a full disk while it did."""
    (folder / 'last_checkpoint').unlink()
    if last is not None:
        name(folder, last)
    assert found(folder) == 'epoch_10.pth'
    by_iter = dict(default_hooks=dict(checkpoint=dict(by_epoch=False)))
    assert found(folder, **by_iter) is None
    save(folder / 'iter_30.pth')
    assert found(folder, **by_iter) == 'iter_30.pth'


@pytest.mark.parametrize('start', ['start.pth', None])
def test_without_any_it_starts_and_says_from_what(tmp_path, caplog, start):
    with caplog.at_level('INFO'):
        assert found(tmp_path / 'none', load_from=start) is None
    assert caplog.messages == [
        f'there is no checkpoint in {tmp_path}/none yet: the run starts from '
        f'{start or "random weights (load_from is None)"}']


@pytest.mark.parametrize('place', ['other/epoch_1.pth', 'https://example.org/epoch_1.pth'])
def test_a_run_goes_on_from_its_own_folder_alone(tmp_path, place):
    work_dir, elsewhere = tmp_path / 'run', tmp_path / 'all' / 'run'
    for folder in (work_dir, elsewhere):
        save(folder / 'epoch_1.pth')
    (work_dir / 'last_checkpoint').write_text(
        place if '://' in place else str(tmp_path / place))
    with pytest.raises(CheckpointError, match='last_checkpoint names a file that is not in it'):
        found(work_dir)
    name(work_dir, 'epoch_1.pth')
    assert found(work_dir) == 'epoch_1.pth'
    (work_dir / 'last_checkpoint').write_text(str(elsewhere / 'epoch_1.pth'))
    hooks = dict(default_hooks=dict(checkpoint=dict(out_dir=str(tmp_path / 'all'))))
    cfg = Config(dict(work_dir=str(work_dir), **hooks))
    assert latest_checkpoint(cfg, LOGGER) == str(elsewhere / 'epoch_1.pth')


def test_a_sharded_one(tmp_path):
    shards = dict(runner_type='FlexibleRunner', strategy=dict(type='tvtsv2_mm.FullyShardStrategy'))
    for number in (1, 2):
        save_sharded(tmp_path / f'epoch_{number}.pth', dict(
            state_dict=dict(a=torch.ones(1000))), dict(meta=dict(epoch=number)))
    name(tmp_path, 'epoch_2.pth')
    with pytest.raises(CheckpointError, match=r'epoch_2\.pth is a sharded checkpoint'):
        found(tmp_path)
    assert found(tmp_path, **shards) == 'epoch_2.pth'
    # Killed while it was written again.
    os.rename(tmp_path / 'epoch_2.pth', tmp_path / '.epoch_2.pth.before')
    assert found(tmp_path, **shards) == 'epoch_2.pth'
    damage(tmp_path / 'epoch_2.pth' / '__0_0.distcp')
    assert found(tmp_path, **shards) == 'epoch_1.pth'


def _agree(rank, world_size, folder):
    """The second rank sees another disk, on which names appear late, or never."""
    latest._PATIENCE_S = 1.0
    appears, cfg = latest._appears, Config(dict(work_dir=str(folder)))
    if rank:
        name(folder / 'late', 'epoch_1.pth')
        cfg.work_dir = str(folder / 'late')
    assert agree_on_latest(cfg, LOGGER) == str(folder / 'epoch_10.pth')
    shown = iter([False, False] if rank else [])
    with patch.object(Path, 'exists', lambda _: next(shown, True)):
        assert agree_on_latest(cfg, LOGGER) == str(folder / 'epoch_10.pth')
    latest._appears = lambda path: appears(path / 'nowhere' if rank else path)
    with pytest.raises(CheckpointError, match=r'epoch_10\.pth cannot be seen on '):
        agree_on_latest(cfg, LOGGER)
    for path in (folder.glob('epoch_*.pth') if rank == 0 else ()):
        damage(path)
    with pytest.raises(CheckpointError, match='has no other that is whole'):
        agree_on_latest(cfg, LOGGER)


@pytest.mark.faults
def test_all_ranks_go_on_from_the_same(folder):
    (folder / 'late').mkdir()
    save(folder / 'late' / 'epoch_1.pth')
    run_ranks(2, _agree, folder)
    record('storage', 'a rename that another rank sees late', injected=1, survived=1)
    record('storage', 'a rename that another rank never sees', injected=1, refused=1)
