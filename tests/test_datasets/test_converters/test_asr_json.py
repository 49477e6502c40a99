import json

import pytest

from tvtsv2_mm.datasets.converters.asr_json import read_asr_json
from tvtsv2_mm.datasets.converters.report import DropRecord


def read(tmp_path, content) -> dict:
    (tmp_path / 'a.json').write_text(json.dumps(content))
    return read_asr_json(tmp_path / 'a.json')


@pytest.mark.parametrize('key', ['word', 'text'])
def test_whisper_words(tmp_path, key):
    words = [{key: ' Go', 'start': 0.5, 'end': 0.8}, {key: ' left.', 'start': 0.8, 'end': 1.25}]
    content = {'text': ' Go left.', 'language': 'en',
               'segments': [{'start': 0.5, 'end': 1.25, 'text': ' Go left.', 'words': words}]}
    assert read(tmp_path, content) == {
        'words': [['Go', 0.5, 0.8], ['left.', 0.8, 1.25]],
        'meta': {'source': 'whisper', 'language': 'en', 'word_times': 'given'}}


def test_whisper_segments(tmp_path):
    segments = [{'start': 0.0, 'end': 2.0, 'text': ' Go left.'},
                {'start': 2.0, 'end': 3.0, 'text': ' '}]
    assert read(tmp_path, {'segments': segments}) == {
        'segments': [['Go left.', 0.0, 2.0]], 'meta': {'source': 'whisper'}}


def test_words_that_whisperx_could_not_time(tmp_path):
    words = [{'word': 'at', 'start': 1.0, 'end': 1.5}, {'word': '3'}, {'word': '14'},
             {'word': 'we', 'start': 2.5, 'end': 3.0}, {'word': '2'}]
    result = read(tmp_path, {'segments': [
        {'start': 1.0, 'end': 4.0, 'text': 'at 3 14 we 2', 'words': words}]})
    assert result['words'] == [['at', 1.0, 1.5], ['3', 1.5, 2.0], ['14', 2.0, 2.5],
                               ['we', 2.5, 3.0], ['2', 3.0, 4.0]]
    assert result['meta'] == {
        'source': 'whisper', 'word_times': 'partly spread', 'spread_words': 3}


def test_a_segment_that_whisperx_could_not_align(tmp_path):
    result = read(tmp_path, {'language': 'en', 'segments': [
        {'start': 0.5, 'end': 1.5, 'text': ' 19 84 ', 'words': []},
        {'start': 2.0, 'end': 3.0, 'text': 'was', 'words': [
            {'word': 'was', 'start': 2.25, 'end': 2.5, 'score': 0.9}]},
        {'start': float('nan'), 'end': float('nan'), 'text': 'fun', 'words': [
            {'word': 'fun', 'start': float('nan'), 'end': None}]}]})
    assert result['words'] == [['19', 0.5, 1.0], ['84', 1.0, 1.5], ['was', 2.25, 2.5],
                               ['fun', 3.0, 3.0]]
    assert result['meta']['spread_words'] == 3


def test_word_segments(tmp_path):
    words = [{'word': 'in', 'start': 0.5, 'end': 0.75}, {'word': '1984'},
             {'word': 'it', 'start': 1.25, 'end': 1.5}]
    segments = [{'start': 0.5, 'end': 1.5, 'text': 'in 1984 it'}]
    for content in ({'word_segments': words}, {'word_segments': words, 'segments': segments}):
        result = read(tmp_path, content)
        assert result['words'] == [['in', 0.5, 0.75], ['1984', 0.75, 1.25], ['it', 1.25, 1.5]]
        assert result['meta']['spread_words'] == 1


@pytest.mark.parametrize('key', ['result', 'words'])
def test_vosk(tmp_path, key):
    words = [{'word': 'go', 'start': 0.5, 'end': 0.75, 'conf': 1.0}]
    expected = {'words': [['go', 0.5, 0.75]], 'meta': {'source': 'vosk', 'word_times': 'given'}}
    assert read(tmp_path, [{key: words, 'text': 'go'}, {'text': ''}]) == expected
    assert read(tmp_path, {key: words, 'text': 'go'}) == expected


@pytest.mark.parametrize('content', [
    {'a': 1}, [1], 3, [{'content': 'x'}], {'segments': [{'text': 'x'}]},
    {'segments': [{'start': 0, 'end': 1, 'text': 'x', 'words': [{'w': 'x'}]}]}])
def test_something_else(tmp_path, content):
    with pytest.raises(DropRecord, match='neither the json of Whisper nor that of vosk'):
        read(tmp_path, content)


def test_no_json(tmp_path):
    (tmp_path / 'a.json').write_text('{')
    with pytest.raises(DropRecord, match='neither'):
        read_asr_json(tmp_path / 'a.json')
