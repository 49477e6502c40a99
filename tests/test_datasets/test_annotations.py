import json

import pytest

from tvtsv2_mm.datasets.annotations import (
    AnnotationError,
    load_captions,
    load_labels,
    load_transcripts,
)

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
    (dict(segments=[]), 'exactly one of "words" and "segments" is needed, found words and seg'),
    (dict(words=[['so', 0.5, 0.3]]), 'ends before it starts'),
    (dict(words=[['so', 0.5, 0.6], ['it', 0.1, 0.2]]), 'sorted by start; 1'),
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


def test_missing_and_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*none\.jsonl'):
        load_captions(tmp_path / 'none.jsonl')
    with pytest.raises(AnnotationError, match='is empty'):
        load_captions(write(tmp_path, ''))
