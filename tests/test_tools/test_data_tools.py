import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tvtsv2_mm.datasets.annotations import load_captions, load_transcripts

TOOLS = Path(__file__).parents[2] / 'tools' / 'data'
CLIP = Path(__file__).parents[1] / 'data' / 'videos' / 'part_0.mp4'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a tool in a folder with a video, a.mp4; returns what it prints."""
    (tmp_path / 'a.mp4').write_bytes(CLIP.read_bytes())
    monkeypatch.chdir(tmp_path)

    def run_tool(name: str, *args: str) -> str:
        monkeypatch.setattr(sys, 'argv', [name, *args])
        runpy.run_path(str(TOOLS / name), run_name='__main__')
        return capsys.readouterr().out

    return run_tool


def test_subtitles(run):
    Path('a.en.srt').write_text('1\n00:00:00,000 --> 00:00:01,000\nhello there\n')
    assert 'read 1, wrote 1, dropped 0' in run(
        'subtitles_to_transcripts.py', '.', 'out.jsonl', '--patterns', '*.en.srt')
    assert load_transcripts('out.jsonl')[0]['words'] == [['hello', 0, 0.5], ['there', 0.5, 1]]


def test_speech_recognition(run):
    Path('json').mkdir()
    segment = dict(start=0, end=1, text='hello')
    Path('json/a.mp4.json').write_text(json.dumps(dict(segments=[segment])))
    run('asr_to_transcripts.py', '.', 'out.jsonl', '--transcripts', 'json')
    assert load_transcripts('out.jsonl')[0]['segments'] == [['hello', 0, 1]]


def test_yt_temporal(run):
    Path('json').mkdir()
    for name in ('a', 'gone'):
        Path('json', f'{name}.json').write_text(json.dumps(dict(
            info=dict(id=name, duration=9), subtitles=[dict(word='hello', time=1.0)],
            denoised=[dict(cleanasr='Hello!')])))
    printed = run('yt_temporal_to_transcripts.py', 'json', 'out.jsonl', '--videos', '.',
                  '--workers', '2')
    assert 'read 2, wrote 1, dropped 1\n  1 x there is no video file of its name' in printed
    assert load_transcripts('out.jsonl')[0]['words'] == [['Hello!', 1.0, 2.0]]


def test_webvid(run):
    Path('rows.csv').write_text('videoid,name,page_dir,duration\na,a dog,.,PT00H00M03S\n')
    run('webvid_to_captions.py', 'rows.csv', 'out.jsonl', '--videos', '.')
    assert load_captions('out.jsonl') == [
        {'path': 'a.mp4', 'captions': ['a dog'], 'duration': 3.0}]


def test_howto100m(run):
    Path('caption.json').write_text(json.dumps({'a': dict(start=[0], end=[1], text=['hello'])}))
    assert 'read 1, wrote 1' in run('howto100m_to_transcripts.py', 'caption.json', 'out.jsonl',
                                    '--videos', '.')
    assert load_transcripts('out.jsonl')[0]['segments'] == [['hello', 0, 1]]


def test_inspect(run):
    Path('a.jsonl').write_text(json.dumps({'path': 'a.mp4', 'captions': ['a dog']}))
    assert 'records: 1' in run('inspect_annotations.py', 'a.jsonl', '--videos', '.')
    assert 'data:image/jpeg' in Path('a.jsonl.html').read_text('utf-8')
    with pytest.raises(SystemExit, match=r'^error: there is no annotation file b\.jsonl'):
        run('inspect_annotations.py', 'b.jsonl')


@pytest.mark.parametrize('name', ['inspect_annotations.py', 'webvid_to_captions.py'])
def test_a_tool_starts_as_a_script(name, tmp_path):
    out = subprocess.run([sys.executable, str(TOOLS / name), '--help'], cwd=tmp_path,
                         env=dict(os.environ, PYTHONPATH=str(TOOLS.parents[1])),
                         capture_output=True, text=True, check=True).stdout
    assert out.startswith(f'usage: {name}')


def test_wrong_input_is_one_line(run):
    with pytest.raises(SystemExit, match=r'^error: there is no csv file rows\.csv$'):
        run('webvid_to_captions.py', 'rows.csv', 'out.jsonl')
