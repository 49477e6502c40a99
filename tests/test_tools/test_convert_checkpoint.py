import runpy
import shlex
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.clip_models import make_hugging_face
from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.registry import MODELS

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'convert_checkpoint.py'


@pytest.fixture
def convert(monkeypatch, tmp_path):
    """Call the tool as a command line would, beside a folder `clip` from Hugging Face."""
    monkeypatch.chdir(tmp_path)
    make_hugging_face('gelu').save_pretrained('clip')

    def call(*words):
        monkeypatch.setattr(sys, 'argv', ['convert_checkpoint.py', *words])
        runpy.run_path(str(TOOL), run_name='__main__')

    return call


def test_the_printed_config_fits(convert, capsys):
    convert('clip')
    Path('printed.py').write_text(capsys.readouterr().out)
    config = Config.fromfile('printed.py')
    assert config.model.backbone.activation == 'gelu'  # from config.json
    model = MODELS.build(config.model)
    model.load_state_dict(read_state_dict('clip'))


def test_convert_for_a_config(convert, capsys):
    convert('clip')
    Path('larger.py').write_text(capsys.readouterr().out.replace('image_size=32', 'image_size=64'))
    convert('clip', 'x.safetensors', '--config', 'larger.py', '--interpolate-positions',
            '--dtype', 'float16')
    assert 'x.safetensors: 69 tensors, own layout' in capsys.readouterr().out
    position = read_state_dict('x.safetensors')['backbone.positional_embedding']
    assert position.shape == (65, 64) and position.dtype == torch.half


@pytest.mark.parametrize(('words', 'message'), [
    (['none.pth'], 'error: there is no checkpoint none.pth'),
    (['clip', 'x.bin'], 'error: the target must end in'),
    (['clip', 'x.pth', '--to', 'release'], 'error: the release layout needs'),
    (['clip', '--heads', '5'], 'error: clip: backbone.heads=5 does not divide'),
    (['clip', 'x.pth', '--config', 'none.py'], 'error: there is no config none.py'),
])
def test_one_clear_error(convert, words, message):
    with pytest.raises(SystemExit) as stopped:
        convert(*words)
    assert str(stopped.value).startswith('error: ') and message in str(stopped.value)


def test_interpolation_needs_a_config(convert, capsys):
    with pytest.raises(SystemExit):
        convert('clip', 'x.pth', '--interpolate-positions')
    assert 'needs --config' in capsys.readouterr().err


def test_the_printed_command_works(convert):
    weights = read_state_dict('clip')
    torch.save(dict(model=dict(weights), args=Namespace(lr=1), where=Path('x')), 'my odd.pth')
    with pytest.raises(SystemExit) as stopped:
        convert('my odd.pth', 'x.pth', '--stand-in', 'argparse.Namespace')
    command = shlex.split(str(stopped.value).split('\n')[-1])
    assert command[:2] == ['python', 'tools/convert_checkpoint.py']
    assert 'argparse.Namespace' in command
    convert(*command[2:])
    assert len(read_state_dict('weights.safetensors')) == 69
    names = command[command.index('--stand-in') + 1:]
    convert('my odd.pth', 'y.pth', *(word for name in names for word in ('--stand-in', name)))


def test_what_is_known_of_a_model(convert, capsys):
    """Each mention adds to it."""
    convert('clip', '--known', 'backbone.heads=2', '--known', 'neck.heads=4', 'neck.end_token=None')
    printed = capsys.readouterr().out
    assert 'heads=2' in printed and 'heads=4' in printed
    for word in ('neck.heads', '=4'):
        with pytest.raises(SystemExit):
            convert('clip', '--known', word)
        assert capsys.readouterr().err.startswith('error: --known')
