"""The report for bug reports: what is broken becomes a line, and nothing ends it."""

import os
import subprocess
import sys
from email.message import Message
from pathlib import Path

import numpy as np
import pytest

from tvtsv2_mm import env
from tvtsv2_mm.preparation.narrated_shapes import render
from tvtsv2_mm.preparation.narrated_shapes.render import write_video

ROOT = Path(__file__).resolve().parents[1]
HIDE = """
import sys
from tests import model_only
model_only.hidden.update(sys.argv[1:])
sys.meta_path[:] = map(model_only.Hiding, sys.meta_path)
from tvtsv2_mm.env import SECTIONS
for section, lines in SECTIONS.items():
    print(f'[{section}]', *lines(), sep='\\n  ')
"""


def run(*words, cwd, path='', **variables):
    variables = os.environ | dict(PYTHONPATH=f'{path}:{ROOT}', OMP_NUM_THREADS='1') | variables
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=variables, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_is_told_and_nothing_run_from_the_folder(tmp_path):
    """No secrets and no home folder; what others print is left out."""
    (tmp_path / 'numpy.py').write_text('open("struck", "w")')
    told = run('-m', 'tvtsv2_mm.env', cwd=tmp_path, path=tmp_path.parent, HOME=str(ROOT.parent),
               TVTSV2_CACHE='here', NCCL_TOKEN='secret', HF_TOKEN='secret')
    assert not (tmp_path / 'struck').exists()
    assert [line[1:-1] for line in told.splitlines() if line[0] == '['] == [*env.SECTIONS]
    assert f' ~/{ROOT.name}/tvtsv2_mm, ' in told
    assert str(ROOT) not in told and 'secret' not in told
    assert '\n  TVTSV2_CACHE=here\n' in told
    assert '\n  pyav: decodes\n  pyav without seeking: decodes\n' in told
    assert '\n  cpu: float32 works, float16 works, bfloat16 works\n' in told
    assert f'\n  numpy: numpy {np.__version__}\n' in told
    assert '\n  compat.stand_in_for_drn: active\n' in told
    assert 'Error' not in told


def test_a_model_only_install(tmp_path):
    hidden = ('av', 'decord', 'torchvision', 'mim', 'matplotlib', 'mmpretrain')
    lines = run('-c', HIDE, *hidden, cwd=tmp_path).splitlines()
    assert [line[1:-1] for line in lines if line[0] == '['] == [*env.SECTIONS]
    for module in hidden[:4]:
        assert next(line for line in lines if line.startswith(f'  {module}: ')).endswith('missing')
    assert '  cpu: float32 works, float16 works, bfloat16 works' in lines
    assert any(line.endswith("needs av: pip install 'tvtsv2_mm[video]'") for line in lines)


@pytest.mark.parametrize(('source', 'line'), [
    ('raise OSError("libav.so\\nis gone")', 'OSError: libav.so is gone'),
    ('raise SystemExit(3)', 'SystemExit: 3'),
])
def test_an_import_that_fails_is_told(monkeypatch, tmp_path, source, line):
    (tmp_path / 'broken_module.py').write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(env, 'MODULES', ('broken_module', 'numpy.fft', 'no_module'))
    monkeypatch.setattr(env.compat, 'active', lambda: {'mend': None})
    assert [*env._modules()] == [
        f'broken_module: of no distribution, {line}', f'numpy: numpy {np.__version__}',
        'no_module: missing', 'compat.mend: what it is for was not imported']


@pytest.mark.parametrize(('source', 'seconds', 'how'), [
    ('import os; os.write(1, b"x\\0\\nnoise"); os.abort()', 99, 'SIGABRT noise'),
    ('import os; os._exit(3)', 99, 'status 3'),
    ('import time; time.sleep(999)', 9, 'status 1 Timeout (0:00:09)! Thread'),
])
def test_what_crashes_or_hangs_ends_its_section(monkeypatch, tmp_path, source, seconds, how):
    (tmp_path / 'av.py').write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(env, 'SECONDS', seconds)
    monkeypatch.setattr(env, 'SECTIONS', {'decoders': None, 'environment variables': None})
    told = [line for line in env.report() if line]
    assert told[1].startswith(f'  this section ended with {how}')
    assert (told[0], told[2]) == ('[decoders]', '[environment variables]')


def test_a_reader_that_leaves_ends_it_without_a_word():
    script = f'"{sys.executable}" -m tvtsv2_mm.env | head -n 1'
    done = subprocess.run(script, shell=True, cwd=ROOT, text=True, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == ('[package]\n', '')


def test_a_user_whom_the_system_does_not_know(monkeypatch, capsys):
    monkeypatch.setattr(env.os.path, 'expanduser', lambda path: path)
    monkeypatch.setattr(env, 'report', lambda: ['/a ~b'])
    monkeypatch.setattr(sys, 'argv', ['env'])
    monkeypatch.setattr(env.signal, 'signal', lambda *_: None)
    env.main()
    assert capsys.readouterr().out == '/a ~b\n'


def test_several_packages_of_cv2_are_warned_of(monkeypatch):
    monkeypatch.setattr(env.metadata, 'packages_distributions',
                        lambda: {'cv2': ['opencv-b', 'opencv-a', 'opencv-a']})
    monkeypatch.setattr(env.metadata, 'version', lambda name: '5.0')
    monkeypatch.setattr(env, 'MODULES', ['cv2'])
    line, warning, *_ = env._modules()
    assert line == 'cv2: opencv-a 5.0, opencv-b 5.0'
    assert warning.startswith('WARNING: opencv-a and opencv-b write into one folder cv2')


def test_requirements_are_those_of_the_metadata(monkeypatch):
    found = Message()
    for line in ('numpy>=1', 'torch>99', 'no-such-a', 'no-such-b; extra == "all"',
                 'no-such-b; extra == "video"', 'no-such-c; extra == "all"',
                 'no-such-d; extra == "tests"', 'no-such-e',
                 'no-such-f; python_version < "3"'):
        found['Requires-Dist'] = line
    for extra in ('all', 'tests', 'video'):
        found['Provides-Extra'] = extra
    monkeypatch.setattr(env.metadata, 'metadata', lambda name: found)
    # Another package serves.
    monkeypatch.setattr(env, 'SERVED', {'no-such-e': 'numpy', 'no-such-c': 'no_such_module'})
    there, missing = env._requirements()
    version = env.metadata.version
    assert there == f'numpy {version("numpy")}, torch {version("torch")} (NOT >99)'
    assert missing == 'missing: no-such-a, no-such-b [video], no-such-c [all]'


@pytest.mark.parametrize(('grey', 'told'), [
    (128, 'decodes'), (9, 'decodes WRONGLY: (4, 64, 64, 3)'),
    (None, 'imported, not tried: no clip can be written (OSError: no encoder)')])
def test_decoders_are_tried(monkeypatch, grey, told):
    def write(path, frames, fps):
        if grey is None:
            raise OSError('no encoder')
        write_video(path, np.full_like(frames, grey), fps=fps)
    monkeypatch.setattr(render, 'write_video', write)
    lines = [*env._decoders()]
    assert all(told in line for line in lines) and len(lines) == 3
