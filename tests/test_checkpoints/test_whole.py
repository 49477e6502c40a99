"""Checkpoints are there whole or not at all, and a changed one is told."""

import mmap

import pytest
import torch
from mmengine.runner import save_checkpoint

from tvtsv2_mm.checkpoints import CheckpointError, read_state_dict
from tvtsv2_mm.checkpoints.files import load_from_disk
from tvtsv2_mm.checkpoints.sharded import save_sharded
from tvtsv2_mm.checkpoints.untrusted import load_torch_file
from tvtsv2_mm.checkpoints.whole import check_whole, save_whole

WEIGHTS = {'a': torch.randn(300, 7), 'b.c': torch.ones(50, dtype=torch.bfloat16),
           'n': torch.tensor(3)}
CONTENT = dict(meta=dict(epoch=1, iter=4, seed=3), state_dict=WEIGHTS,
               optimizer=dict(state={0: dict(exp_avg=torch.randn(300, 7))}, param_groups=[{}]))


def test_the_folder_is_made_and_mmengine_writes_this_way(tmp_path):
    path = tmp_path / 'run' / 'epoch_1.pth'
    save_checkpoint(CONTENT, str(path))
    check_whole(path)
    torch.testing.assert_close(load_from_disk(path)['state_dict'], WEIGHTS)


def test_one_that_is_mapped_into_memory_stays_as_it_is(tmp_path):
    """In place the tensors would change, or the process would be killed by SIGBUS."""
    path = tmp_path / 'epoch_1.pth'
    save_whole(CONTENT, path)
    mapped = load_torch_file(path, mmap=True)['state_dict']
    safe = read_state_dict(path)
    save_whole(dict(state_dict={}), path)
    for weights in (mapped, safe):
        torch.testing.assert_close({**weights}, WEIGHTS, rtol=0, atol=0)
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as new:
        assert b'optimizer' not in new[:]


@pytest.fixture(params=['file', 'folder'])
def saved(request, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    if request.param == 'file':
        save_whole(CONTENT, path)
        return path, [path]
    save_sharded(path, {key: CONTENT[key] for key in ('state_dict', )} | dict(
        optimizer={'a': CONTENT['optimizer']['state'][0]}), dict(meta=CONTENT['meta']))
    return path, sorted(path.iterdir())


def test_what_is_missing(tmp_path, saved):
    path, files = saved
    check_whole(path)
    if path.is_dir():
        for file in files:
            content = file.read_bytes()
            file.unlink()
            with pytest.raises(CheckpointError, match=r'epoch_1\.pth is incomplete'):
                check_whole(path)
            file.write_bytes(content)
        files[0].write_bytes(files[0].read_bytes().replace(b'state_dict.a', b'state_dict.z'))
        with pytest.raises(CheckpointError, match=r'\.metadata is damaged|declared'):
            check_whole(path)
    with pytest.raises(FileNotFoundError, match=r'there is no checkpoint .*none\.pth'):
        check_whole(tmp_path / 'none.pth')
