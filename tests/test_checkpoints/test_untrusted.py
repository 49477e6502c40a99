import os
import pickle
import sys
import types
import zipfile

import pytest
import torch

from tvtsv2_mm.checkpoints import CheckpointError, RefusedCheckpointError, read_state_dict
from tvtsv2_mm.checkpoints.untrusted import load_torch_file

WEIGHTS = {'a': torch.arange(3.0), 'b.c': torch.ones(2, 2)}


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.fixture
def with_foreign_class(tmp_path, monkeypatch):
    """A checkpoint as a trainer writes it that stores its own config object."""
    module = types.ModuleType('parse_config')
    module.ConfigParser = type('ConfigParser', (), dict(__module__='parse_config'))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'parse_config', module)
        parser = module.ConfigParser()
        parser.args = dict(lr=1e-4)
        torch.save(dict(config=parser, state_dict=WEIGHTS), tmp_path / 'best.pth')
    return tmp_path / 'best.pth'


def test_a_foreign_class_is_refused_with_the_way_to_allow_it(with_foreign_class):
    with pytest.raises(RefusedCheckpointError, match=r'it holds parse_config\.ConfigParser[\s\S]*'
                       r'--stand-in parse_config\.ConfigParser$'):
        read_state_dict(with_foreign_class)
    read = read_state_dict(with_foreign_class, stand_ins=['parse_config.ConfigParser'])
    torch.testing.assert_close(read, WEIGHTS)


def test_a_stand_in_of_one_class_allows_no_other(with_foreign_class):
    with pytest.raises(RefusedCheckpointError, match=r'it holds parse_config\.ConfigParser'):
        read_state_dict(with_foreign_class, stand_ins=['parse_config.Other'])


@pytest.mark.parametrize('function', [print, os.getcwd])
def test_what_no_checkpoint_needs(tmp_path, function):
    torch.save(dict(state_dict=WEIGHTS, x=Calls(function)), tmp_path / 'bad.pth')
    with pytest.raises(RefusedCheckpointError, match='do not trust this file'):
        load_torch_file(tmp_path / 'bad.pth')


def test_a_stand_in_is_not_the_function(tmp_path, capsys):
    torch.save(dict(state_dict=WEIGHTS, x=Calls(print, 'run')), tmp_path / 'bad.pth')
    loaded = load_torch_file(tmp_path / 'bad.pth', stand_ins=['builtins.print'])
    torch.testing.assert_close(loaded['state_dict'], WEIGHTS)
    assert 'run' not in capsys.readouterr().out


def test_an_archive_with_a_pickle_that_runs_code_is_refused(tmp_path, capsys):
    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(WEIGHTS['a'])

        def forward(self, x):
            return x + self.a

    torch.jit.save(torch.jit.script(Tiny()), tmp_path / 'good.pt')
    torch.testing.assert_close(load_torch_file(tmp_path / 'good.pt')['a'].data, WEIGHTS['a'])
    with zipfile.ZipFile(tmp_path / 'good.pt') as good, \
            zipfile.ZipFile(tmp_path / 'bad.pt', 'w') as bad:
        for name in good.namelist():
            content = good.read(name)
            if name.endswith('/data.pkl'):
                content = pickle.dumps(Calls(print, 'run'), protocol=2)
            bad.writestr(name, content)
    with pytest.raises(RefusedCheckpointError, match='do not trust this file'):
        load_torch_file(tmp_path / 'bad.pt')
    assert 'run' not in capsys.readouterr().out


def test_a_cut_archive(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'whole.pth')
    content = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(content[:len(content) // 2])
    with pytest.raises(CheckpointError, match=r'cut\.pth'):
        load_torch_file(tmp_path / 'cut.pth')
