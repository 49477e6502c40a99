import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.whisper_models import RecordedModel, save_tiny_whisper
from tvtsv2_mm.preparation.options import WHISPER_MODELS
from tvtsv2_mm.preparation.transcription import Whisper, find_whisper, load_whisper
from tvtsv2_mm.preparation.transcription import whisper as module
from tvtsv2_mm.preparation.transcription.whisper import HearingError, cut_into_pieces
from tvtsv2_mm.video.sound import read_sound
from tvtsv2_mm.video.source import SAMPLE_RATE, VideoSource

SPEECH = Path(__file__).resolve().parents[2] / 'data' / 'videos' / 'grid_swwp2s.mpg'


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    return save_tiny_whisper(tmp_path_factory.mktemp('whisper') / 'tiny')


def test_faster_whisper_itself_hears_speech_and_silence(tiny):
    whisper = load_whisper(str(tiny), device='cpu')
    heard = whisper.hear(read_sound(VideoSource(str(SPEECH))))
    assert heard['language'] == 'de' and heard['duration'] == 2.978
    [segment] = heard['segments']
    assert segment['text'] == ' red ball'
    assert [word['word'] for word in segment['words']] == [' red', ' ball']
    times = [time for word in segment['words'] for time in (word['start'], word['end'])]
    assert times == sorted(times) and times[0] >= 0.1 and times[-1] <= 2.978
    json.dumps(heard, allow_nan=False)
    silence = [np.zeros(3 * SAMPLE_RATE, np.int16)]
    assert whisper.hear(silence) == dict(language=None, duration=3.0, segments=[])


def test_the_language_is_one_that_the_model_knows(tiny):
    said = load_whisper(str(tiny), device='cpu', language='en')
    assert said.hear(read_sound(VideoSource(str(SPEECH))))['language'] == 'en'
    with pytest.raises(ValueError, match=r'--language xx: the model .* knows af am ar'):
        load_whisper(str(tiny), device='cpu', language='xx')


def test_a_model_that_cannot_be_used_is_named(tiny, tmp_path):
    with pytest.raises(ValueError, match=rf'the model {tiny} cannot be used .*--compute-type int3'):
        load_whisper(str(tiny), device='cpu', compute_type='int3')
    for name in ('config.json', 'tokenizer.json', 'vocabulary.json'):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    with pytest.raises(ValueError, match=r'no model of faster-whisper .* it has no model\.bin'):
        load_whisper(str(tmp_path))
    (tmp_path / 'model.bin').write_bytes(b'damaged')
    with pytest.raises(ValueError, match=f'the model {tmp_path} cannot be used'):
        load_whisper(str(tmp_path), device='cpu')


def test_models_by_name(tiny, tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError('no network')

    def not_there(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setenv('TVTSV2_MM_CACHE', str(tmp_path))
    monkeypatch.setattr('huggingface_hub.HfApi.model_info', no_network)
    monkeypatch.setattr('huggingface_hub.snapshot_download', not_there)
    with pytest.raises(ValueError, match=(
            r'^hf://Systran/faster-whisper-small could not be fetched \(OSError: no network\)\. By '
            r'hand: the model\.bin, \*\.json and \*\.txt of it to a folder, and give the folder '
            r'\(--model FOLDER\)$')):
        find_whisper('small')
    with pytest.raises(ValueError, match=r'--model largest: there is no such folder, .*small'):
        find_whisper('largest')
    # Another program has fetched it.
    monkeypatch.setattr('huggingface_hub.snapshot_download', lambda *_, **__: str(tiny))
    assert find_whisper('small') == tiny
    assert all(re.fullmatch(r'hf://[\w-]+/[\w.-]+', place) for place in WHISPER_MODELS.values())


def test_what_it_is_asked_and_what_becomes_of_its_answer():
    model = RecordedModel()
    heard = Whisper(model).hear(read_sound(VideoSource(str(SPEECH))))
    assert model.asked == [(47648, np.float32, dict(language=None, word_timestamps=True,
                                                    vad_filter=True))]
    assert heard['language'] == 'en'
    [segment] = heard['segments']
    assert segment['text'] == ' Set white with P two soon.'
    assert segment['words'][0] == dict(word=' Set', start=0.62, end=0.86, probability=0.71)
    assert len(segment['words']) == 6


def test_a_long_video_is_heard_in_pieces_that_end_where_it_is_quiet(monkeypatch):
    monkeypatch.setattr(module, '_PIECE', 10 * SAMPLE_RATE)
    monkeypatch.setattr(module, '_END', 5 * SAMPLE_RATE)
    sound = np.full(25 * SAMPLE_RATE, 1000, np.int16)
    sound[7 * SAMPLE_RATE:8 * SAMPLE_RATE] = 0
    blocks = np.split(sound, [3 * SAMPLE_RATE, 4 * SAMPLE_RATE, 20 * SAMPLE_RATE])
    pieces = list(cut_into_pieces(blocks))
    assert np.array_equal(np.concatenate([piece for _, piece in pieces]), sound)
    assert 7 < pieces[1][0] < 8
    assert all(len(piece) <= 10 * SAMPLE_RATE for _, piece in pieces)
    assert [start for start, _ in pieces] == pytest.approx(np.cumsum(
        [0, *(len(piece) / SAMPLE_RATE for _, piece in pieces[:-1])]))
    model = RecordedModel()
    heard = Whisper(model).hear(blocks)
    assert len(model.asked) == len(pieces) and heard['duration'] == 25.0
    assert [segment['start'] for segment in heard['segments']] == [
        pytest.approx(start + 0.62, abs=1e-3) for start, _ in pieces]
    assert [segment['id'] for segment in heard['segments']] == [*range(len(pieces))]
    # What was heard first is the language of all.
    assert [options['language'] for _, _, options in model.asked] == [
        None, *['en'] * (len(pieces) - 1)]


def segment(text='so', start=0.0, end=1.0):
    return SimpleNamespace(start=start, end=end, text=text, words=None)


@pytest.mark.parametrize(('answer', 'message'), [
    (lambda: (segment() for _ in iter(int, 1)), 'more of it than anybody can'),
    (lambda: [segment(text='x' * 10**6)], 'more of it than anybody can'),
    (lambda: [segment(start=float('nan'))], 'times that are no numbers'),
    (lambda: [1 / 0], r'the model fails on its sound \(ZeroDivisionError'),
])
def test_a_model_that_fails_or_does_not_end(answer, message):
    model = SimpleNamespace(transcribe=lambda *_, **__: (
        answer(), SimpleNamespace(language='en')))
    with pytest.raises(HearingError, match=message):
        Whisper(model).hear([np.zeros(SAMPLE_RATE, np.int16)])


def test_times_stay_within_the_video():
    model = SimpleNamespace(transcribe=lambda *_, **__: (
        [segment(start=-1.0, end=99.0)], SimpleNamespace(language='en')))
    [heard] = Whisper(model).hear([np.zeros(SAMPLE_RATE, np.int16)])['segments']
    assert (heard['start'], heard['end']) == (0.0, 1.0)
