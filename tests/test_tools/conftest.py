import runpy
import shutil
import sys
from pathlib import Path

import pytest
from mmengine.runner import Runner

from tvtsv2_mm.datasets.annotations import load_transcripts
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes

ROOT = Path(__file__).resolve().parents[2]


def _call(patch, tool, *words):
    """Call a tool as a command line would; return the Runner that it made last, if any."""
    runners = []
    init = Runner.__init__
    patch.setenv('LOCAL_RANK', '0')
    patch.setattr(sys, 'argv', [f'{tool}.py', *map(str, words)])
    with pytest.MonkeyPatch.context() as inner:
        inner.setattr(Runner, '__init__', lambda runner, *args, **kwargs: runners.append(runner)
                      or init(runner, *args, **kwargs))
        runpy.run_path(str(ROOT / 'tools' / f'{tool}.py'), run_name='__main__')
    return runners[-1] if runners else None


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Call a tool as a command line would, in tmp_path; return the Runner that it made."""
    monkeypatch.chdir(tmp_path)
    return lambda tool, *words: _call(monkeypatch, tool, *words)


@pytest.fixture(scope='module')
def run_once():
    """The same for what the tests of a module share: called as call(folder, tool, *words)."""
    def call(folder, tool, *words):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            return _call(patch, tool, *words)

    return call


@pytest.fixture(scope='module')
def narrated(tmp_path_factory):
    """Videos with .srt files beside them, in two folders."""
    root = tmp_path_factory.mktemp('narrated')
    build_narrated_shapes(root, NarratedShapesOptions(
        transcript_videos=(9, 0), clip_rounds=(0, 0), order_clips=(0, 0), size=80))
    for number, record in enumerate(load_transcripts(root / 'annotations/transcripts_train.jsonl')):
        folder = root / 'my_videos' / ('kitchen', 'garden')[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(root / 'videos' / record['path'], folder / f'talk {number}.mp4')
        # The last one has fewer words than a draw needs.
        words = record['words'] if number < 8 else record['words'][:3]
        (folder / f'talk {number}.srt').write_text('\n'.join(
            f'{k}\n{srt_time(start)} --> {srt_time(end)}\n{word}\n'
            for k, (word, start, end) in enumerate(words, 1)))
    return root / 'my_videos'


def srt_time(seconds):
    ms = round(seconds * 1000)
    return f'{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}'
