import io
import json

import ijson
import pytest

from tvtsv2_mm.datasets.annotations import load_transcripts
from tvtsv2_mm.preparation.converters import convert_howto100m
from tvtsv2_mm.preparation.converters.howto100m import _Shallow

META = {'source': 'HowTo100M'}


def dropped(report) -> dict[str, str]:
    return dict(line.split('\t') for line in report.dropped_list.read_text().splitlines())


def test_caption_json_and_list(videos, tmp_path):
    (tmp_path / 'caption.json').write_text(json.dumps({
        'rolling': {'start': [0, 1.2, 2], 'end': [2.4, 3.7, 2.5], 'text': ['red', 'ball', 'x y']},
        'unlisted': {'start': [0], 'end': [1], 'text': ['a']},
        'uneven': {'start': [0, 1], 'end': [1], 'text': ['a', 'b']},
        'empty': {'start': [], 'end': [], 'text': []},
        'gone': {'start': [0], 'end': [1], 'text': ['a']}}))
    names = ['rolling', 'uneven', 'empty', 'gone', 'silent']
    (tmp_path / 'list.csv').write_text(
        'video_id,category_1,rank\n' + ''.join(f'{name},Hobbies,{i}\n'
                                               for i, name in enumerate(names)))
    report = convert_howto100m(
        tmp_path / 'caption.json', tmp_path / 'a.jsonl', video_list=tmp_path / 'list.csv',
        videos=videos('x/rolling.mp4', 'unlisted.mp4', 'uneven.webm', 'empty.mp4', 'silent.mp4'))
    assert load_transcripts(report.output) == [{
        'path': 'x/rolling.mp4', 'duration': 2.5, 'id': 'rolling',
        'segments': [['red', 0, 1.2], ['ball', 1.2, 2], ['x y', 2, 2.5]],
        'meta': META | {'category_1': 'Hobbies', 'rank': '0'}}]
    assert dropped(report) == {
        'unlisted': 'it is not in the list of videos',
        'uneven': 'its captions are not texts with as many starts and ends',
        'empty': 'it has no caption',
        'gone': 'there is no video file of its name',
        'silent': 'it is in the list of videos and has no captions'}
    assert 'those of 4 of 4 words are spread' in report.summary()


def test_one_csv(videos, tmp_path):
    (tmp_path / 'all.csv').write_text(
        'vid,from,to,said\nb,0:00:00.5,0:00:01.5,"go, left"\nb,1.5,2.5,stop\na,0,1,hi\nb,1,2,x\n')
    report = convert_howto100m(tmp_path / 'all.csv', tmp_path / 'a.jsonl', workers=2,
                               columns=('vid', 'from', 'to', 'said'),
                               videos=videos('a.mp4', 'b.mp4'))
    assert [record['segments'] for record in load_transcripts(report.output)] == [
        [['go, left', 0.5, 1.5], ['stop', 1.5, 2.5]], [['hi', 0, 1]]]
    assert dropped(report) == {'b': 'its video has a record already'}


def test_times_that_are_missing(videos, tmp_path):
    (tmp_path / 'a.csv').write_text('video_id,start,end,text\na,0,,x\na,1,2,y\na,,2,z\n')
    report = convert_howto100m(tmp_path / 'a.csv', tmp_path / 'a.jsonl', videos=videos('a.mp4'))
    assert load_transcripts(report.output)[0]['segments'] == [['x', 0, 1], ['y', 1, 2]]
    assert report.remarks == {'cues without an end: until the next one, 5 s at most': 1,
                              'cues without a time: left out': 1}


def test_a_csv_without_ends(videos, tmp_path):
    (tmp_path / 'htm_aa.csv').write_text('vid,timestamp,text\na,0.5,one\na,1,two\n')
    report = convert_howto100m(tmp_path / 'htm_aa.csv', tmp_path / 'a.jsonl',
                               columns=('vid', 'timestamp', '-', 'text'), videos=videos('a.mp4'))
    assert load_transcripts(report.output)[0]['segments'] == [['one', 0.5, 1], ['two', 1, 2.5]]
    assert report.remarks == {
        'cues without an end: until the next one, 5 s at most': 2,
        'segments partly beyond the end of the video: they end there': 1}


def test_what_is_odd_is_counted(videos, tmp_path):
    captions = {'text': ['x', 'b', 'a', None, 'late', 'nan'], 'start': [-3, 1.5, 1, 0, 3, 'nan'],
                'end': [-2, 1.25, 1.75, 1, 4, 1]}
    (tmp_path / 'c.JSON').write_text(json.dumps({'a': captions}), encoding='utf-8-sig')
    report = convert_howto100m(tmp_path / 'c.JSON', tmp_path / 'a.jsonl', videos=videos('a.mp4'))
    assert load_transcripts(report.output)[0]['segments'] == [['a', 1, 1.5], ['b', 1.5, 1.5]]
    assert report.remarks == {
        'cues before the start of the video: left out': 1,
        'cues that end before they start: taken at their start': 1,
        'cues without a time: left out': 1, 'captions that are no text: left out': 1,
        'words beyond the end of the video: left out': 1}


def test_odd_csv_files(videos, tmp_path):
    source = tmp_path / 'c.csv'
    source.write_text('video_id,start,end,text\na,0,1,x\na,1\nb,0,1,x\nc,0,1,x\n')
    folder = videos('a.mp4', 'b.mp4', 'c.mp4', 'sub/c.mp4')
    report = convert_howto100m(source, tmp_path / 'a.jsonl', videos=folder)
    assert [record['id'] for record in load_transcripts(report.output)] == ['b']
    assert dropped(report) == {'a': 'its captions are not texts with as many starts and ends',
                               'c': 'several video files have its name'}
    source.write_text('video_id,start,end,text\na,0,1,"x\nb,0,1,x\n')
    with pytest.raises(ValueError, match=r'c\.csv, line 2: .*is a quote'):
        convert_howto100m(source, tmp_path / 'a.jsonl', videos=folder)
    (tmp_path / 'list.csv').write_text('video_id\na\na\n')
    with pytest.raises(ValueError, match=r'list\.csv, line 3: a is in the list already'):
        convert_howto100m(source, tmp_path / 'a.jsonl', videos=folder,
                          video_list=tmp_path / 'list.csv')


def test_a_csv_for_each_video(videos, tmp_path):
    folder = tmp_path / 'csv'
    folder.mkdir()
    (folder / 'a.csv').write_text(',start,end,text\n0,0.5,1.5,go\n')
    (folder / 'b.csv').write_text('start,text\n0.5,go\n')
    (folder / 'c.csv').write_text('start,end,text\n')
    report = convert_howto100m(folder, tmp_path / 'a.jsonl',
                               videos=videos('a.mp4', 'b.mp4', 'c.mp4'))
    assert load_transcripts(report.output) == [
        {'path': 'a.mp4', 'duration': 2.5, 'segments': [['go', 0.5, 1.5]], 'id': 'a', 'meta': META}]
    assert dropped(report) == {'b': 'its csv cannot be read, or lacks a column',
                               'c': 'it has no caption'}


@pytest.mark.parametrize(('name', 'text', 'message'), [
    ('a.json', '{"a": {"start": [0', r'a\.json is broken or no JSON object, after the start'),
    ('a.json', '[1]', r'a\.json is broken or no JSON object, after the start: it is no object'),
    # ijson 3.2 looks through what it has read to its end before it tells of any of it.
    ('a.json', '{"a": 1} {"b": 2}', 'or no JSON object, after (a|the start): '),
    ('a.json', '{"a": [1}', 'or no JSON object, after the start: '),
    ('a.json', '', 'or no JSON object, after the start: '),
    ('a.csv', 'x,start\n', r'a\.csv has no column video_id, end, text; it has x, start'),
])
def test_wrong_as_a_whole(videos, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        convert_howto100m(tmp_path / name, tmp_path / 'o.jsonl', videos=videos('a.mp4'))


def test_no_captions(videos, tmp_path):
    with pytest.raises(FileNotFoundError, match='no file, and no folder'):
        convert_howto100m(tmp_path, tmp_path / 'o.jsonl', videos=videos('a.mp4'))


def test_brackets_without_end_take_no_memory(videos, tmp_path):
    source = tmp_path / 'c.json'
    source.write_text('{"a": {"start": [0], "text": ' + '[' * 100_000)
    with pytest.raises(ValueError, match=r'c\.json is broken .* nested more than 100 deep'):
        convert_howto100m(source, tmp_path / 'a.jsonl', videos=videos('a.mp4'))


@pytest.mark.parametrize('size', [1, 2, 3, 7, 4096])
def test_brackets_in_strings_do_not_count_wherever_a_block_ends(size):
    text = '[' * 101 + '\\"{\\' * 3
    content = {text: [text, {'a': [text]}, '\\'], 'b': text}
    whole = json.dumps(content, ensure_ascii=False).encode()
    file = _Shallow(io.BytesIO(whole))
    assert b''.join(iter(lambda: file.read(size), b'')) == whole
    assert file._depth == 0 and not file._open
    deep = _Shallow(io.BytesIO(whole[:-1] + b', "c": ' + b'[' * 101))
    with pytest.raises(ValueError, match='more than 100 deep'):
        b''.join(iter(lambda: deep.read(size), b''))
    content = dict(ijson.kvitems(_Shallow(io.BytesIO(whole)), '', use_float=True))
    assert content == json.loads(whole)
