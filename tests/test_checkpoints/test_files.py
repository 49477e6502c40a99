import pickle
from functools import partial

import pytest
import torch
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file

from tvtsv2_mm.checkpoints import CheckpointError, read_state_dict

WEIGHTS = {'a': torch.arange(3.0), 'b.c': torch.ones(2, 2)}


@pytest.mark.parametrize('wrapped', [True, False])
def test_torch_file(tmp_path, wrapped):
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=WEIGHTS, epoch=3) if wrapped else WEIGHTS, path)
    torch.testing.assert_close(read_state_dict(path), WEIGHTS)


def test_safetensors(tmp_path):
    path = tmp_path / 'weights.safetensors'
    save_file(WEIGHTS, path)
    torch.testing.assert_close(read_state_dict(path), WEIGHTS)


class Malicious:

    def __reduce__(self):
        return print, ('this must never be run', )


def test_a_pickle_that_runs_code_is_refused(tmp_path, capsys):
    path = tmp_path / 'weights.pth'
    path.write_bytes(pickle.dumps(dict(state_dict=Malicious())))
    with pytest.raises(CheckpointError, match='cannot be read as a checkpoint'):
        read_state_dict(path)
    torch.save(dict(state_dict=Malicious()), path)
    with pytest.raises(CheckpointError, match='cannot be read as a checkpoint'):
        read_state_dict(path)
    assert 'never' not in capsys.readouterr().out


@pytest.mark.parametrize('content', [b'', b'not a checkpoint'])
@pytest.mark.parametrize('name', ['weights.pth', 'weights.safetensors'])
def test_damaged_file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        read_state_dict(path)


@pytest.mark.parametrize('content', [[1, 2], dict(state_dict=[1]), dict(state_dict=None)])
def test_no_state_dict(tmp_path, content):
    path = tmp_path / 'weights.pth'
    torch.save(content, path)
    for read in (read_state_dict, partial(load_checkpoint, torch.nn.Linear(1, 1))):
        with pytest.raises(CheckpointError, match=r'weights\.pth holds no state dict'):
            read(str(path))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        read_state_dict(tmp_path / 'none.pth')


def test_load_from_reads_safetensors(tmp_path):
    path = tmp_path / 'weights.safetensors'
    save_file({'weight': torch.ones(2, 2), 'bias': torch.ones(2)}, path)
    layer = torch.nn.Linear(2, 2)
    load_checkpoint(layer, str(path))
    assert layer.weight.sum() == 4
