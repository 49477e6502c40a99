"""Folders of torch.distributed.checkpoint, and what is wrong with them."""

import pickle

import pytest
import torch
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata

from tests.helpers import run_killed_at_write
from tvtsv2_mm.checkpoints import CheckpointError, RefusedCheckpointError, read_state_dict
from tvtsv2_mm.checkpoints.files import files_of, load_from_disk
from tvtsv2_mm.checkpoints.sharded import read_metadata, read_run_state, save_sharded

WEIGHTS = {'a': torch.arange(3.0), 'b.c': torch.ones(2, 2, dtype=torch.bfloat16),
           'n': torch.tensor(3)}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    save_sharded(path, dict(state_dict=WEIGHTS, optimizer=dict(a=dict(exp_avg=torch.zeros(3)))),
                 dict(meta=dict(epoch=1)))
    return path


class Malicious:

    def __reduce__(self):
        return print, ('this must never be run', )


def test_weights_and_the_rest(folder):
    torch.testing.assert_close(read_state_dict(folder), WEIGHTS)
    torch.testing.assert_close(load_from_disk(str(folder)), dict(state_dict=WEIGHTS))
    assert read_run_state(folder) == dict(meta=dict(epoch=1))
    assert [path.name for path in files_of(folder)] == ['.metadata', '__0_0.distcp']


def test_nothing_tells_where_it_was_saved(folder):
    assert str(folder).encode() not in (folder / '.metadata').read_bytes()


@pytest.mark.parametrize('where', ['itself', 'inside'])
def test_metadata_that_run_code_are_refused(folder, where, capsys):
    metadata = Malicious()
    if where == 'inside':
        metadata = read_metadata(folder)
        metadata.planner_data = Malicious()
    (folder / '.metadata').write_bytes(pickle.dumps(metadata))
    with pytest.raises(RefusedCheckpointError, match=r'it holds builtins\.print.*do not trust'):
        read_state_dict(folder)
    assert 'never' not in capsys.readouterr().out


def test_what_torch_would_load_as_any_pickle_is_left_out(folder):
    metadata = read_metadata(folder)
    metadata.state_dict_metadata['state_dict.a'] = BytesStorageMetadata()
    (folder / '.metadata').write_bytes(pickle.dumps(metadata))
    assert {*read_state_dict(folder)} == {'b.c', 'n'}


@pytest.mark.parametrize('place', ['../secret', '/etc/passwd'])
def test_files_elsewhere_are_refused(folder, place):
    metadata = read_metadata(folder)
    next(iter(metadata.storage_data.values())).relative_path = place
    (folder / '.metadata').write_bytes(pickle.dumps(metadata))
    with pytest.raises(RefusedCheckpointError, match='names a file outside its folder'):
        read_state_dict(folder)


@pytest.mark.parametrize('content', [
    b'', b'not a pickle', pickle.dumps([1]), pickle.dumps(Metadata({'a': 3})),
    pickle.dumps(Metadata({}))])
def test_damaged_metadata(folder, content):
    (folder / '.metadata').write_bytes(content)
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth/\.metadata'):
        read_state_dict(folder)


def test_tensors_that_run_code_are_refused(folder, capsys):
    path = folder / '__0_0.distcp'
    size = path.stat().st_size
    torch.save(Malicious(), path)
    path.write_bytes(path.read_bytes().ljust(size, b'\0'))
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth cannot be read'):
        read_state_dict(folder)
    torch.save(dict(meta=Malicious()), folder / 'run_state.pth')
    with pytest.raises(RefusedCheckpointError, match='run_state'):
        read_run_state(folder)
    assert 'never' not in capsys.readouterr().out


@pytest.mark.parametrize(('name', 'message'), [
    ('.metadata', r'epoch_1\.pth is incomplete: it has no \.metadata'),
    ('__0_0.distcp', r'epoch_1\.pth is incomplete: it has no __0_0\.distcp')])
def test_missing_file(folder, name, message):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=message):
        read_state_dict(folder)


def test_file_that_is_cut_off(folder):
    path = folder / '__0_0.distcp'
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth is incomplete: __0_0.* is cut off'):
        read_state_dict(folder)


def test_folder_of_another_program(tmp_path):
    save_sharded(tmp_path / 'step-1', dict(model=WEIGHTS), {})
    with pytest.raises(CheckpointError, match=r'holds no weights .*; it has model\.a, model\.b'):
        read_state_dict(tmp_path / 'step-1')


def test_no_run_state(folder):
    (folder / 'run_state.pth').unlink()
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth is incomplete: it has no run_state'):
        read_run_state(folder)


def test_what_cannot_be_saved_leaves_what_was_there(folder, monkeypatch):
    """As a kill does; what it left is taken away by the next."""
    changed = dict(state_dict={'a': torch.zeros(3)})
    with monkeypatch.context() as patch, pytest.raises(OSError, match='could not be saved: full'):
        patch.setattr(torch, 'save', lambda *_: (_ for _ in ()).throw(OSError('full')))
        save_sharded(folder, changed, {})
    torch.testing.assert_close(read_state_dict(folder), WEIGHTS)
    save_sharded(folder, changed, {})
    torch.testing.assert_close(read_state_dict(folder), changed['state_dict'])
    assert [path.name for path in folder.parent.iterdir()] == ['epoch_1.pth']


def test_a_kill_before_the_end_leaves_nothing_under_the_name(tmp_path):
    run_killed_at_write(
        'import torch; from pathlib import Path\n'
        'from tvtsv2_mm.checkpoints.sharded import save_sharded',
        "save_sharded(Path(sys.argv[1]), dict(state_dict=dict(a=torch.ones(3))), {})",
        tmp_path / 'epoch_1.pth', write=1)
    assert [path.name for path in tmp_path.iterdir()] == ['.epoch_1.pth.part']
