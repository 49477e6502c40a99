import json

import numpy as np
import pytest

from tvtsv2_mm.datasets.annotations import (
    AnnotationError,
    check_transcript,
    find_records,
    load_captions,
    load_labels,
    load_transcripts,
    read_record,
)
from tvtsv2_mm.datasets.transforms import SampleTranscriptSegments
from tvtsv2_mm.video.errors import SampleError

TRANSCRIPT = {'path': 'a.mp4', 'duration': 9.5, 'words': [['so', 0.1, 0.3], ['it', 0.3, 0.5]]}
CAPTION = {'path': 'a.mp4', 'captions': ['a dog', 'a dog runs']}


def write(tmp_path, *records) -> str:
    path = tmp_path / 'list.jsonl'
    path.write_text('\n'.join(r if isinstance(r, str) else json.dumps(r) for r in records))
    return str(path)


def test_transcripts(tmp_path):
    segments = {'path': 'b.mp4', 'duration': 5, 'segments': [['hello there', 0, 2]], 'id': 'b',
                'meta': {'language': 'en'}}
    assert load_transcripts(write(tmp_path, TRANSCRIPT, '', segments)) == [TRANSCRIPT, segments]


@pytest.mark.parametrize(('change', 'message'), [
    (dict(word=[]), "unknown key 'word'"),
    (dict(path=''), '"path"'),
    (dict(duration=None), '"duration" must be seconds'),
    (dict(duration=True), '"duration" must be seconds'),
    (dict(duration=1e300), '"duration" must be seconds, 0 to 10000000'),
    (dict(duration=10**400), '"duration" must be seconds'),
    (dict(words=[['so', 0.1, 10**400]]), r'"words" 0 must be'),
    (dict(words=[['so', 10**20, 10**20]]), r'"words" 0 must be'),
    (dict(words=[['so', 0.1, 0.2], ['it', 0.5, 1e7 + 1]]), r'"words" 1 must be'),
    (dict(path='a\0.mp4'), 'no name of a file'),
    (dict(path='\ud800.mp4'), 'half a character'),
    (dict(meta=dict(a=['\udfff'])), 'half a character'),
    (dict(segments=[]), 'exactly one of "words" and "segments" is needed, found words and seg'),
    (dict(words=[['so', 0.5, 0.3]]), 'ends before it starts'),
    (dict(words=[['so', 0.5, 0.6], ['it', 0.1, 0.2]]), 'sorted by start; 1'),
    (dict(words=[['so', 0.1, 0.2], ['it', 0.5, 0.4]]), '1 ends before it starts'),
    (dict(words=[['so', 0.1, 0.2, 0.9], ['it', 0.5, 0.6]]), r'"words" 0 must be'),
    (dict(words=[['so', 0.1, 0.2], [3, 0.5, 0.6]]), r'"words" 1 must be'),
    (dict(words=[['so', 0.1, 0.2], [' ', 0.5, 0.6]]), r'"words" 1 .* not empty'),
    (dict(words=[['so', 0.1, True]]), r'"words" 0 must be'),
    (dict(words=[['so', 0.1, '0.2']]), r'"words" 0 must be'),
    (dict(words=[{'word': 'so'}]), r'"words" 0 must be'),
    (dict(id=3), '"id" must be a text'),
    (dict(meta='en'), '"meta" must be an object'),
    (dict(words=[['so', 0.5]]), r'"words" 0 must be \[text, start, end\]'),
    (dict(words=[['so', -1, 2]]), r'"words" 0 must be \[text, start, end\]'),
    (dict(words={}), '"words" must be a list'),
])
def test_bad_transcripts_name_file_and_line(tmp_path, change, message):
    path = write(tmp_path, TRANSCRIPT, TRANSCRIPT | change)
    with pytest.raises(AnnotationError, match=rf'list\.jsonl, line 2: .*{message}'):
        load_transcripts(path)


@pytest.mark.parametrize(('change', 'message'), [
    (dict(captions=[]), '"captions"'),
    (dict(captions='a dog'), '"captions"'),
    (dict(captions=['a dog', ' ']), '"captions"'),
    (dict(start=4, end=3), 'must be later than'),
    (dict(end=10**400), '"end" must be seconds'),
    (dict(answer=2), r'index of a caption, 0\.\.1'),
    (dict(words=[]), "unknown key 'words'"),
])
def test_bad_captions(tmp_path, change, message):
    path = write(tmp_path, CAPTION | change)
    with pytest.raises(AnnotationError, match=rf'line 1: .*{message}'):
        load_captions(path)


@pytest.mark.parametrize('line', ['{"path": "a.mp4"', '[1]', 'a.mp4 3'])
def test_no_json_object(tmp_path, line):
    with pytest.raises(AnnotationError, match=r'line 1: .*JSON object'):
        load_captions(write(tmp_path, line))


def test_labels(tmp_path):
    assert load_labels(write(tmp_path, 'a b/c d.mp4 3', 'e.mp4 0')) == [
        ('a b/c d.mp4', 3), ('e.mp4', 0)]
    with pytest.raises(AnnotationError, match='line 2: expected "path label"'):
        load_labels(write(tmp_path, 'a.mp4 3', 'e.mp4'))
    with pytest.raises(AnnotationError, match='line 1: expected "path label"'):
        load_labels(write(tmp_path, f'a.mp4 {"9" * 5000}'))


@pytest.mark.parametrize(('line', 'message'), [
    ('b.mp4 1 2', 'one label here, found several'),
    ('b.mp4\t1\t2', 'one label here, found several'),
    ('b.mp4 1,2', 'expected "path label"'),
    ('b.mp4 -1', 'expected "path label"'),
    ('b.mp4 1.0', 'expected "path label"'),
    ('b.mp4 dog', 'expected "path label"'),
    ('1', 'expected "path label"'),
    ('b.mp4 6', 'label 6 does not fit 6 classes'),
    ('./a.mp4 4', r'\./a\.mp4 has the label 4 here, but 3 in .*list\.jsonl, line 1'),
])
def test_bad_labels_name_file_and_line(tmp_path, line, message):
    path = write(tmp_path, 'a.mp4 3', '', line)
    with pytest.raises(AnnotationError, match=rf'list\.jsonl, line 3: .*{message}'):
        load_labels(path, num_classes=6)


def test_a_video_that_is_listed_twice_is_told(tmp_path):
    path = write(tmp_path, 'a.mp4 3', 'b c 2.mp4\t0', 'a.mp4 3')
    with pytest.warns(UserWarning, match='1 of 3 lines name a video that is there before'):
        assert load_labels(path) == [('a.mp4', 3), ('b c 2.mp4', 0), ('a.mp4', 3)]


def test_missing_and_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*none\.jsonl'):
        load_captions(tmp_path / 'none.jsonl')
    with pytest.raises(AnnotationError, match='is empty'):
        load_captions(write(tmp_path, ''))


@pytest.mark.parametrize('number', ['NaN', 'Infinity', '1e999'])
def test_times_are_finite(tmp_path, number):
    line = json.dumps({'path': 'a.mp4', 'duration': 9, 'words': [['so', 0.1, 'X']]})
    line = line.replace('"X"', number)
    with pytest.raises(AnnotationError, match=r'list\.jsonl, line 1: '):
        load_transcripts(write(tmp_path, line))


def test_records_changed_at_random_are_usable_or_named(tmp_path):
    """What passes the check passes the transform that draws from it, or is given up there."""
    segments = [['hello there \U0001f600', 0, 8], ['and now we go on', 9, 20],
                ['more words come here', 21, 40], ['even more said', 41, 80]]
    whole = json.dumps({'path': 'a', 'duration': 90.5, 'segments': segments})
    sample = SampleTranscriptSegments()
    rng, taken = np.random.default_rng(0), 0
    for _ in range(1000):
        place, count = rng.integers(len(whole)), rng.integers(3)
        inserted = ''.join(rng.choice(list('0179eE.-,:"[]{}u\\dx '), rng.integers(4)))
        path = write(tmp_path, whole[:place] + inserted * rng.choice([1, 1, 1, 400])
                     + whole[place + count:])
        try:
            [record] = load_transcripts(path)
            sample(dict(record, filename=record['path'], rng=rng))
            taken += 1
        except AnnotationError as error:
            assert str(error).startswith(f'{path}, line 1: ')
        except SampleError:
            taken += 1
    assert 200 < taken < 800


def test_encodings(tmp_path):
    path = tmp_path / 'list.jsonl'
    line = json.dumps({'path': 'ä.mp4', 'captions': ['grün']}, ensure_ascii=False)
    path.write_bytes(b'\xef\xbb\xbf' + line.encode() + b'\r\n')
    assert load_captions(path) == [{'path': 'ä.mp4', 'captions': ['grün']}]
    path.write_bytes(b'\n' + line.encode('latin-1'))
    with pytest.raises(AnnotationError, match='line 2: not UTF-8'):
        load_captions(path)


def test_records_are_read_from_their_place(tmp_path):
    segments = {'path': 'ö.mp4', 'duration': 5, 'segments': [['hello there', 0, 2]]}
    path = tmp_path / 'list.jsonl'
    path.write_bytes(b'\n'.join(
        [json.dumps(TRANSCRIPT).encode(), b'', json.dumps(segments, ensure_ascii=False).encode()]))
    places = find_records(path, check_transcript)
    assert [read_record(path, place, check_transcript) for place in places] == [
        TRANSCRIPT, segments]


def test_unchecked_lines_are_checked_when_they_are_read(tmp_path):
    path = write(tmp_path, TRANSCRIPT, '', {'path': 'b.mp4'})
    first, second = find_records(path, None)
    assert read_record(path, first, check_transcript) == TRANSCRIPT
    with pytest.raises(AnnotationError, match=r'list\.jsonl, line 3: "duration"'):
        read_record(path, second, check_transcript)
