import json

import pytest

from tvtsv2_mm.preparation.converters.asr_json import read_asr_json
from tvtsv2_mm.preparation.converters.report import DropRecord


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
    {'a': 1}, [1], 3, [{'content': 'x'}],
    {'segments': [{'start': 0, 'end': 1}]}, {'words': [{'word': 5, 'start': 0, 'end': 1}]},
    {'segments': [{'start': 0, 'end': 1, 'text': 'x', 'words': [{'w': 'x'}]}]}])
def test_something_else(tmp_path, content):
    with pytest.raises(DropRecord, match='not the json of a speech recogniser that is known'):
        read(tmp_path, content)


def test_no_json(tmp_path):
    (tmp_path / 'a.json').write_text('{')
    with pytest.raises(DropRecord, match='not the json'):
        read_asr_json(tmp_path / 'a.json')


WORDS = [{'word': 'go', 'start': 0.2, 'end': 0.5}, {'word': 'left', 'start': 1.5, 'end': 2}]
SEGMENTS = [{'start': 0.0, 'end': 2.0, 'text': ' go left'}, {'start': 3.0, 'end': 5.0, 'text': 'x'}]


def test_words_beside_the_segments(tmp_path):
    assert read(tmp_path, {'segments': SEGMENTS[:1], 'words': WORDS, 'language': 'english'}) == {
        'words': [['go', 0.2, 0.5], ['left', 1.5, 2.0]],
        'meta': {'source': 'whisper', 'language': 'english', 'word_times': 'given'}}
    assert 'segments' in read(tmp_path, {'segments': SEGMENTS, 'words': None})
    assert read(tmp_path, {'segments': SEGMENTS, 'words': WORDS})['meta']['remarks'] == {
        'words of segments that are not among those with times: left out': 1}


@pytest.mark.parametrize(('content', 'source'), [
    (SEGMENTS, 'whisper'),
    ([segment | {'duration': 2.0} for segment in SEGMENTS], 'youtube'),
    ({'text': 'go left x', 'chunks': [
        {'text': each['text'], 'timestamp': [each['start'], each['end']]} for each in SEGMENTS]},
     'transformers'),
])
def test_lists_of_segments(tmp_path, content, source):
    assert read(tmp_path, content) == {
        'segments': [['go left', 0.0, 2.0], ['x', 3.0, 5.0]], 'meta': {'source': source}}


@pytest.mark.parametrize('content', [WORDS, {'words': WORDS}, {'chunks': [
    {'text': f' {each["word"]}', 'timestamp': [each['start'], each['end']]} for each in WORDS]}])
def test_lists_of_words(tmp_path, content):
    result = read(tmp_path, content)
    assert result['words'] == [['go', 0.2, 0.5], ['left', 1.5, 2.0]]
    assert result['meta']['word_times'] == 'given'


def test_words_of_a_list_of_segments(tmp_path):
    assert read(tmp_path, [SEGMENTS[0] | {'words': WORDS}])['words'] == [
        ['go', 0.2, 0.5], ['left', 1.5, 2.0]]


@pytest.mark.parametrize('end', [None, float('nan'), float('inf')])
@pytest.mark.parametrize('as_chunks', [False, True])
def test_a_segment_without_an_end(tmp_path, end, as_chunks):
    segments = [('a b', 0.0, end), ('c', 2.0, 3.0), ('d', 4.0, end)]
    content = {'chunks': [{'text': text, 'timestamp': times} for text, *times in segments]}
    if not as_chunks:
        content = {'segments': [dict(zip(('text', 'start', 'end'), segment, strict=True))
                                for segment in segments]}
    result = read(tmp_path, content)
    assert result['segments'] == [['a b', 0.0, 2.0], ['c', 2.0, 3.0], ['d', 4.0, 9.0]]
    assert list(result['meta']['remarks'].values()) == [2]


NO_TIME = {'cues without a time: left out': 1}
NO_END = {'cues without an end: until the next one, 5 s at most': 1}


@pytest.mark.parametrize(('content', 'remarks'), [
    ({'chunks': [{'text': 'a b', 'timestamp': None}, {'text': 'go on', 'timestamp': [1, 2]}]},
     NO_TIME),
    ({'chunks': [{'text': 'a b'}, {'text': 'go on', 'timestamp': [1, 2]}]}, NO_TIME),
    ({'segments': [{'text': 'a b'}, {'text': 'go on', 'start': 1, 'end': 2}]}, NO_TIME),
    ([{'text': 'a b'}, {'text': 'go on', 'start': 1, 'end': 2}], NO_TIME),
    ([{'text': 'a b', 'start': None, 'duration': 1}, {'text': 'go on', 'start': 1, 'duration': 1}],
     NO_TIME),
    ([{'text': 'go on', 'start': 1.0, 'duration': None}, {'text': 'x', 'start': 2, 'duration': 1}],
     NO_END),
    ({'segments': [{'text': None, 'start': 0, 'end': 1}, {'text': 'go on', 'start': 1, 'end': 2}]},
     None),
])
def test_one_part_that_is_odd_does_not_lose_the_others(tmp_path, content, remarks):
    result = read(tmp_path, content)
    assert result['segments'][0] == ['go on', 1.0, 2.0]
    assert result['meta'].get('remarks') == remarks


@pytest.mark.parametrize('end', [None, float('nan')])
def test_words_with_a_start_alone(tmp_path, end):
    words = [('a', 0.0, end), ('b', 0.5, 0.75), ('c', 1.0, end)]
    forms = [{'words': [dict(zip(('word', 'start', 'end'), word, strict=True)) for word in words]},
             {'chunks': [{'text': f' {text}', 'timestamp': times} for text, *times in words]}]
    forms.append({'segments': [{'text': 'a b c', 'start': 0.0, 'end': 1.5} | forms[0]]})
    for content, last in zip(forms, (2.0, 2.0, 1.5), strict=True):
        result = read(tmp_path, content)
        assert result['words'] == [['a', 0.0, 0.5], ['b', 0.5, 0.75], ['c', 1.0, last]]
        assert result['meta']['word_times'] == 'given'
        assert result['meta']['remarks'] == {
            'words without an end: until the next one, 1 s at most': 2}


def test_what_has_no_time_is_counted(tmp_path):
    segments = [{'text': 'a', 'start': None, 'end': 1}, {'text': 'b', 'start': 10**400, 'end': 2},
                {'text': 'c', 'start': 1.0, 'end': 0.5}]
    assert read(tmp_path, {'segments': segments})['meta']['remarks'] == {
        'cues without a time: left out': 2,
        'cues that end before they start: taken at their start': 1}
    vosk = read(tmp_path, [{'result': WORDS, 'text': 'go left'}, {'text': 'three more words'}])
    assert vosk['meta']['remarks'] == {'words without a time: left out': 3}


MILLISECONDS = [{'text': 'go', 'start': 250, 'end': 500},
                {'text': 'left', 'start': 7000, 'end': 7400}]


def test_milliseconds(tmp_path):
    for form in ({'status': 'completed'}, {'audio_duration': 10}):
        result = read(tmp_path, {'words': MILLISECONDS, **form})
        assert result['words'] == [['go', 0.25, 0.5], ['left', 7.0, 7.4]]
        assert result['meta']['source'] == 'assemblyai'
    utterances = [{'text': 'go left', 'start': 250, 'end': 7400, 'words': MILLISECONDS}]
    assert read(tmp_path, {'status': 'completed', 'words': None, 'utterances': utterances})[
        'words'] == result['words']
    for unclear in ({'words': MILLISECONDS}, {'segments': MILLISECONDS}, {'words': [
            word | {'start': float(word['start'])} for word in MILLISECONDS]}):
        with pytest.raises(DropRecord, match='milliseconds'):
            read(tmp_path, unclear)
    assert read(tmp_path, {'segments': [{'text': 'go left', 'start': 2, 'end': 4}]})['segments']


def test_milliseconds_beyond_all_numbers(tmp_path):
    with pytest.raises(DropRecord, match='not the json of a speech recogniser'):
        read(tmp_path, {'status': 'completed', 'words': [MILLISECONDS[0] | {'end': 10**400}]})


def test_times_that_start_anew(tmp_path):
    segments = [('a', 0.0, 28.0), ('b', 28.0, 29.5), ('c', 0.0, 3.0)]
    with pytest.raises(DropRecord, match='its times go back') as dropped:
        read(tmp_path, {'chunks': [{'text': f'{text} x', 'timestamp': times}
                                   for text, *times in segments]})
    assert dropped.value.place == 'entry 3 (3 s behind 28 s)'


def test_odd_files(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(SEGMENTS), encoding='utf-8-sig')
    assert read_asr_json(path)['segments']
    for content in (b'[' * 100_000, b'[{"text": "caf\xe9", "start": 0, "end": 1}]',
                    b'[{"text": "a", "start": "0", "end": "1"}]',
                    b'[{"text": "a", "start": true, "end": false}]'):
        path.write_bytes(content)
        with pytest.raises(DropRecord, match='not the json'):
            read_asr_json(path)


def test_a_text_that_is_none_beside_words(tmp_path):
    with pytest.raises(DropRecord, match='not the json of a speech recogniser'):
        read(tmp_path, {'segments': [dict(SEGMENTS[0], text=5, words=WORDS)]})
