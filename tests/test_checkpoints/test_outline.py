"""No memory is taken for what a file only declares, and damage gives one kind of error."""

import pickle
import random
import shutil
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tvtsv2_mm.checkpoints import CheckpointError, read_state_dict
from tvtsv2_mm.checkpoints.files import load_from_disk
from tvtsv2_mm.checkpoints.sharded import read_metadata, save_sharded
from tvtsv2_mm.checkpoints.untrusted import load_torch_file

ONE = torch.ones(1)


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.fixture(autouse=True)
def nothing_is_loaded(request, monkeypatch):
    if 'declares' in request.node.name:
        monkeypatch.delattr(torch, 'load')


def repack(source, target, change):
    """Copy an archive; change says (member, content) -> (content, compression) or None."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, 'w') as changed:
        for name in given.namelist():
            content, how = change(name, given.read(name))
            changed.writestr(name, content, how)
        return given.namelist()[0].split('/')[0]


@pytest.mark.parametrize('kind', ['torch', 'TorchScript'])
def test_a_compressed_member_declares_too_much(tmp_path, kind):
    if kind == 'torch':
        torch.save(dict(a=ONE), tmp_path / 'x.pth')
    else:
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / 'x.pth')
    root = repack(tmp_path / 'x.pth', tmp_path / 'bomb.pth',
                  lambda name, content: (content, zipfile.ZIP_STORED))
    with zipfile.ZipFile(tmp_path / 'bomb.pth', 'a') as archive:
        archive.writestr(f'{root}/data/999', bytes(10**7), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match='data/999 is compressed'):
        load_torch_file(tmp_path / 'bomb.pth')


def test_a_member_twice_declares_too_much(tmp_path):
    torch.save(dict(a=ONE), tmp_path / 'x.pth')
    with zipfile.ZipFile(tmp_path / 'x.pth', 'a') as archive, pytest.warns(UserWarning):
        archive.writestr('x/data/0', b'1234')
    with pytest.raises(CheckpointError, match='x/data/0 twice'):
        load_torch_file(tmp_path / 'x.pth')


def test_a_storage_declares_more_than_its_member(tmp_path):
    torch.save(dict(a=torch.ones(3)), tmp_path / 'x.pth')
    repack(tmp_path / 'x.pth', tmp_path / 'y.pth', lambda name, content: (
        content[:4] if name.endswith('data/0') else content, zipfile.ZIP_STORED))
    with pytest.raises(CheckpointError, match='has 4 bytes, but is declared to have 12'):
        load_torch_file(tmp_path / 'y.pth')


@pytest.mark.parametrize(('value', 'message'), [
    (ONE.expand(2**40), '1099511627776 values in a storage of 1'),
    (torch.empty(2**40, device='meta'), 'meta_tensor'),
    (torch.sparse_coo_tensor([[0]], [1.0], (2**40, ), check_invariants=True), 'sparse_tensor'),
    (Calls(torch.FloatTensor, 2**33), 'FloatTensor'),
    (Calls(torch.FloatStorage, 2**33), 'FloatStorage'),
    (Calls(bytearray, 2**35), 'asks for memory'),
    (Calls(np.zeros(1).__reduce__()[0], np.ndarray, (2**35, ), b'b'), 'asks for memory'),
    (Calls(np.float64(0).__reduce__()[0], np.dtype('V2000000000')), 'missing 1 required'),
    ([torch.ones(10**4)] * 1 + [*torch.ones(10**4).expand(10, -1)], 'declare'),
], ids=range(9))
@pytest.mark.parametrize('zipped', [True, False])
def test_a_value_declares_too_much(tmp_path, value, message, zipped):
    torch.save(dict(state_dict=dict(a=ONE), x=value), tmp_path / 'x.pth',
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=message):
        load_torch_file(tmp_path / 'x.pth')


def test_a_table_declares_more_than_its_parts(tmp_path, monkeypatch):
    save_sharded(tmp_path / 'x', dict(state_dict=dict(a=torch.ones(3))), {})
    metadata = read_metadata(tmp_path / 'x')
    entry = metadata.state_dict_metadata['state_dict.a']
    entry.size = entry.chunks[0].sizes = torch.Size([2**40])
    (tmp_path / 'x' / '.metadata').write_bytes(pickle.dumps(metadata))
    monkeypatch.delattr(torch, 'empty')
    with pytest.raises(CheckpointError, match=r'state_dict\.a is declared with 1099511627776'):
        read_state_dict(tmp_path / 'x')


def test_a_module_saved_whole_gives_its_weights(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(model, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='--stand-in') as refused:
        load_torch_file(tmp_path / 'x.pth')
    names = str(refused.value).split('--stand-in ')[1].split()
    read = load_torch_file(tmp_path / 'x.pth', stand_ins=names)
    torch.testing.assert_close(read, dict(model.state_dict()))


def test_nothing_is_promised_of_a_file_without_weights(tmp_path):
    torch.save(dict(x=slice(3)), tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'slice, and no plain names and tensors: save'):
        load_torch_file(tmp_path / 'x.pth')


def write(kind, path):
    weights = {'visual.class_embedding': torch.arange(6.0).view(2, 3), 'b': torch.ones(4)}
    if kind == 'sharded':
        save_sharded(path, dict(state_dict=weights), {})
        return path / '.metadata'
    if kind == 'safetensors':
        save_file(weights, path)
    elif kind == 'script':
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    else:
        torch.save(dict(state_dict=weights), path, _use_new_zipfile_serialization=kind == 'zip')
    return path


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'script', 'safetensors', 'sharded'])
def test_damage_gives_an_error_that_names_the_file(tmp_path, kind):
    file = write(kind, tmp_path / 'x.pth')
    content = file.read_bytes()
    draw = random.Random(0)
    refused = 0
    for _ in range(150):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 1, 2, 8))):
            place = draw.randrange(len(changed))
            if draw.random() < 0.2:
                del changed[place:place + draw.randrange(1, 30)]
            else:
                changed[place] = draw.randrange(256)
        file.write_bytes(changed)
        for read in (load_from_disk, read_state_dict):
            try:
                read(str(tmp_path / 'x.pth'))
            except CheckpointError as error:
                assert 'x.pth' in str(error)
                refused += 1
    assert refused > 50
    if kind == 'sharded':
        shutil.rmtree(tmp_path / 'x.pth')
