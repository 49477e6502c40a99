"""Own videos without subtitles, from their sound to annotations and to what features look for."""

import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from tests.whisper_models import RecordedModel, save_tiny_whisper
from tvtsv2_mm.apis.features.speech import read_passages, transcripts_beside
from tvtsv2_mm.datasets.annotations import load_transcripts

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / 'tools' / 'data' / 'README.md').read_text('utf-8')
CLIPS = ROOT / 'tests' / 'data' / 'videos'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Call the README's command beside my_videos with speech and a silent video; what it prints."""
    monkeypatch.chdir(tmp_path)
    Path('my_videos/indoors').mkdir(parents=True)
    shutil.copy(CLIPS / 'grid_swwp2s.mpg', 'my_videos/indoors/talk.mpg')
    shutil.copy(CLIPS / 'part_0.mp4', 'my_videos')

    def call(name, *more):
        command = re.search(rf'^python tools/data/{name}\.py (my_videos.*)$', README, re.M)
        monkeypatch.setattr(sys, 'argv', [name, *command[1].split(), *more])
        runpy.run_path(str(ROOT / 'tools' / 'data' / f'{name}.py'), run_name='__main__')
        return capsys.readouterr().out

    return call


def test_a_recorded_result_becomes_annotations(run, monkeypatch):
    monkeypatch.setattr('faster_whisper.WhisperModel', RecordedModel)
    Path('model').mkdir()
    for name in ('model.bin', 'config.json', 'tokenizer.json', 'vocabulary.json'):
        Path('model', name).touch()
    printed = run('transcribe', '--model', 'model/')
    assert 'transcribed 1 videos' in printed and '1 have no sound, or nobody speaks' in printed
    assert 'read 2, wrote 1, dropped 1\n  1 x it has no word' in run('asr_to_transcripts')
    [record] = load_transcripts('my_videos/transcripts.jsonl')
    assert record['path'] == 'indoors/talk.mpg'
    assert record['words'][:2] == [['Set', 0.62, 0.86], ['white', 0.86, 1.1]]
    assert [word for word, _, _ in record['words']] == [
        'Set', 'white', 'with', 'P', 'two', 'soon.']
    assert record['meta'] == {'source': 'whisper', 'language': 'en', 'word_times': 'given'}
    # What features --windows find beside the videos.
    [[path]] = transcripts_beside('my_videos', ['indoors/talk.mpg']).values()
    assert read_passages(path) == [('Set white with P two soon.', 0.62, 2.22)]


def test_faster_whisper_itself(run, tmp_path):
    save_tiny_whisper(tmp_path / 'tiny')
    run('transcribe', '--model', 'tiny', '--device', 'cpu')
    run('asr_to_transcripts')
    [record] = load_transcripts('my_videos/transcripts.jsonl')
    assert [word for word, _, _ in record['words']] == ['red', 'ball']
    assert record['meta']['language'] == 'de'
    assert run('transcribe', '--model', 'tiny').endswith('\n2 were transcribed before\n')
    # A folder without a model is not looked at where there is nothing to hear.
    assert 'another model' in run('transcribe', '--model', 'nowhere')


def test_what_is_wrong_is_said(run, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run('transcribe', '--model', 'nowhere')
    assert '--model nowhere: there is no such folder' in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, 'faster_whisper', None)
    with pytest.raises(SystemExit):
        run('transcribe')
    assert ("transcribing needs faster-whisper: pip install 'tvtsv2_mm[speech]'"
            in capsys.readouterr().err)
    assert not [*Path('my_videos').rglob('*.json')]
