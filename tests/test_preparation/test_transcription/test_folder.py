import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import run_killed_at_write
from tvtsv2_mm.preparation.converters import read_asr_json
from tvtsv2_mm.preparation.transcription import transcribe_folder
from tvtsv2_mm.preparation.transcription.whisper import HearingError
from tvtsv2_mm.utils.files import read_json_lines
from tvtsv2_mm.utils.locks import locked
from tvtsv2_mm.utils.parts import FAILURE

CLIPS = Path(__file__).resolve().parents[2] / 'data' / 'videos'
SPEECH = CLIPS / 'grid_swwp2s.mpg'
PICTURES = CLIPS / 'part_0.mp4'
WITH = dict(model='small', language=None)


def hear(blocks):
    """One word for each video with sound."""
    seconds = sum(len(block) for block in blocks) / 16000
    word = dict(word=' soon', start=0.5, end=1.0, probability=0.9)
    return dict(language='en', duration=seconds, segments=[
        dict(id=0, start=0.5, end=1.0, text=' soon', words=[word])])


def put(folder, *names, clip=SPEECH):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, folder / name)


def transcribe(folder, made_with=WITH, hearing=hear, **options):
    return transcribe_folder(folder, lambda: hearing, made_with, show_progress=False, **options)


def nothing():
    raise AssertionError('there is nothing to hear')


def failures(folder):
    return {entry['video']: entry['reason']
            for entry in read_json_lines(folder / 'transcribe.failed.jsonl', FAILURE)}


def test_each_video_once(tmp_path):
    put(tmp_path, 'a.mpg', 'sub/b c.mpg')
    put(tmp_path, 'silent.mp4', clip=PICTURES)
    (tmp_path / 'bad.mp4').write_bytes(b'no video')
    report = transcribe(tmp_path)
    assert (report.made, report.silent, report.there) == (2, 1, 0)
    assert report.seconds == pytest.approx(2 * 2.978, abs=1e-3)
    assert failures(tmp_path) == {'bad.mp4': report.failed[0]['reason']}
    assert 'it cannot be opened as a video' in report.failed[0]['reason']
    assert read_asr_json(tmp_path / 'sub/b c.whisper.json')['words'] == [['soon', 0.5, 1.0]]
    assert read_asr_json(tmp_path / 'silent.whisper.json')['segments'] == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != '.') == [
        'a.mpg', 'a.whisper.json', 'bad.mp4', 'silent.mp4', 'silent.whisper.json', 'sub',
        'transcribe.failed.jsonl']
    # Again: what failed is tried once more, and not what is silent.
    (tmp_path / 'bad.mp4').unlink()
    report = transcribe_folder(tmp_path, nothing, WITH, show_progress=False)
    assert (report.made, report.silent, report.there, report.failed) == (0, 0, 3, [])
    assert not (tmp_path / 'transcribe.failed.jsonl').exists()
    assert report.summary().endswith('\n3 were transcribed before')


def test_a_video_that_has_changed_is_heard_anew(tmp_path):
    put(tmp_path, 'a.mpg', 'b.mpg')
    transcribe(tmp_path)
    kept = (tmp_path / 'b.whisper.json').stat().st_mtime_ns
    put(tmp_path, 'a.mpg', clip=PICTURES)
    assert (transcribe(tmp_path).silent, (tmp_path / 'b.whisper.json').stat().st_mtime_ns) == (
        1, kept)
    assert json.loads((tmp_path / 'a.whisper.json').read_text())['segments'] == []


def test_files_of_others_stay(tmp_path):
    put(tmp_path, 'a.mpg', 'b.mpg', 'c.mpg')
    texts = {'a.whisper.json': '{"segments": []}', 'a.json': 'mine', 'b.whisper.json': '{"tvts'}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / 'c.whisper.json').mkdir()
    report = transcribe_folder(tmp_path, nothing, WITH, show_progress=False)
    assert {name: (tmp_path / name).read_text() for name in texts} == texts
    assert failures(tmp_path).keys() == {'a.mpg', 'b.mpg', 'c.mpg'}
    assert 'was not made by this tool: it stays' in report.failed[0]['reason']


def test_transcripts_of_another_model_stay_and_are_told(tmp_path):
    put(tmp_path, 'a.mpg')
    transcribe(tmp_path)
    os.symlink('gone', tmp_path / 'b.mpg')
    shutil.copy(tmp_path / 'a.whisper.json', tmp_path / 'b.whisper.json')
    report = transcribe(tmp_path, dict(WITH, model='large-v3'))
    assert (report.there, report.made_otherwise, len(report.failed)) == (1, 1, 1)
    (tmp_path / 'b.mpg').unlink()
    report = transcribe_folder(tmp_path, nothing, dict(WITH, model='large-v3'),
                               show_progress=False)
    assert (report.there, report.made_otherwise) == (1, 1)
    assert '1 of them with another model or language, and stay so' in report.summary()


def test_videos_with_subtitles_are_left_out(tmp_path):
    put(tmp_path, 'a.mpg', 'b.mpg', 'c.mpg', 'x/a.mpg')
    for name in ('a.en.VTT', 'b.srt', '.c.srt'):
        (tmp_path / name).touch()
    report = transcribe(tmp_path)
    assert (report.made, report.subtitled) == (2, 2)
    assert (tmp_path / 'c.whisper.json').is_file() and (tmp_path / 'x/a.whisper.json').is_file()
    assert transcribe(tmp_path, with_subtitles=True).made == 2


def test_two_videos_of_one_name(tmp_path):
    put(tmp_path, 'a.mpg', 'a.vob', 'x/a.mpg')
    report = transcribe(tmp_path)
    assert report.made == 1 and failures(tmp_path).keys() == {'a.mpg', 'a.vob'}
    assert 'rename one' in report.failed[0]['reason']


def test_another_folder(tmp_path):
    put(tmp_path / 'videos', 'x/a.mpg')
    before = sorted((tmp_path / 'videos').rglob('*'))
    report = transcribe(tmp_path / 'videos', out=tmp_path / 'texts')
    assert report.made == 1 and (tmp_path / 'texts/x/a.whisper.json').is_file()
    assert sorted((tmp_path / 'videos').rglob('*')) == before
    assert transcribe(tmp_path / 'videos', out=tmp_path / 'texts').there == 1


def test_what_the_model_fails_on(tmp_path):
    put(tmp_path, 'a.mpg', 'b.mpg')
    calls = []

    def fails_once(blocks):
        calls.append(next(blocks))
        if len(calls) == 1:
            raise HearingError('out of memory')
        return hear(blocks)

    assert transcribe(tmp_path, hearing=fails_once).made == 1
    assert failures(tmp_path) == {'a.mpg': 'out of memory'}


def test_a_video_that_crashes_the_decoder_is_one_failure(tmp_path, monkeypatch):
    put(tmp_path, 'a.mpg', 'b.mpg')

    def crash(**argument):
        if argument['path'].endswith('a.mpg'):
            os.abort()
        return iter([np.ones(16000, np.int16)])

    monkeypatch.setattr('tvtsv2_mm.video.isolated_reader._sound_of', crash)
    assert transcribe(tmp_path).made == 1
    assert failures(tmp_path) == {'a.mpg': 'decoding it crashed (signal SIGABRT)'}


def test_too_many_failures_stop_it(tmp_path):
    put(tmp_path, *(f'{number:02}.mpg' for number in range(20)))
    for number in range(20, 40):
        (tmp_path / f'{number}.mp4').write_bytes(b'no video')
    with pytest.raises(RuntimeError, match='6 of 26 videos have failed, the last one for this'):
        transcribe(tmp_path)
    assert len(failures(tmp_path)) == 6
    report = transcribe(tmp_path, max_failed=1)
    assert (report.there, len(report.failed)) == (20, 20)
    with pytest.raises(ValueError, match=r'0\.\.1, not 20'):
        transcribe(tmp_path, max_failed=20)


def test_one_run_at_a_time_and_nothing_to_do(tmp_path):
    put(tmp_path / 'videos', 'a.mpg')
    with locked(tmp_path / 'videos'), pytest.raises(ValueError, match='another run is writing'):
        transcribe(tmp_path / 'videos')
    with pytest.raises(FileNotFoundError, match='there is no folder'):
        transcribe(tmp_path / 'none')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='there is no video under'):
        transcribe(tmp_path / 'empty')
    assert not [*(tmp_path / 'empty').iterdir()]


RUN = '''
import runpy
run = runpy.run_path(sys.argv[1])
'''


@pytest.mark.parametrize('write', [1, 2, 3])
def test_a_kill_loses_one_video_at_most(tmp_path, write):
    put(tmp_path, 'a.mpg', 'b.mpg')
    (tmp_path / 'c.mp4').write_bytes(b'no video')
    run_killed_at_write(RUN, "run['transcribe'](sys.argv[2])", __file__, tmp_path, write=write)
    there = sorted(path.name for path in tmp_path.glob('*.whisper.json'))
    assert there == ['a.whisper.json', 'b.whisper.json'][:write - 1]
    assert len([*tmp_path.glob('.*.part')]) == 1
    report = transcribe(tmp_path)
    assert (report.there, report.made) == (write - 1, 3 - write)
    assert not [*tmp_path.glob('.*.part')]
