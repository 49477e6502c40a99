import gzip
import json

import pytest

from tvtsv2_mm.datasets.annotations import load_transcripts
from tvtsv2_mm.preparation.converters import convert_yt_temporal


def record(name: str, **changes) -> dict:
    return {
        'info': {'id': name, 'duration': 12, 'title': 'A title'},
        'subtitles': [{'word': '&gt;&gt;', 'time': 0.0}, {'word': 'so', 'time': 0.1},
                      {'word': 'we', 'time': 0.3}, {'word': 'add', 'time': 0.5},
                      {'word': 'oliv', 'time': 4.0}, {'word': 'oil', 'time': 4.5}],
        'denoised': [{'noisyasr': 'so we add', 'cleanasr': 'So we add'},
                     {'noisyasr': 'oliv oil', 'cleanasr': 'olive oil.'}],
    } | changes


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / 'json'
    folder.mkdir()
    return folder


def put(folder, **records) -> None:
    for name, content in records.items():
        (folder / f'{name}.json').write_text(json.dumps(content))


def test_cleaned_words_with_the_times_of_the_raw_ones(source, videos, tmp_path):
    put(source, one=record('one'))
    report = convert_yt_temporal([source], tmp_path / 'a.jsonl', videos=videos('sub/data/one.mp4'))
    assert load_transcripts(report.output) == [{
        'path': 'sub/data/one.mp4', 'duration': 12, 'id': 'one',
        'words': [['So', 0.1, 0.3], ['we', 0.3, 0.5], ['add', 0.5, 1.5], ['olive', 4.0, 4.5],
                  ['oil.', 4.5, 5.5]],
        'meta': {'source': 'YT-Temporal-180M', 'text': 'denoised'}}]


def test_without_a_cleaned_text_or_a_duration(source, videos, tmp_path):
    put(source, one=record('one', denoised=[], info={'id': 'one'}))
    report = convert_yt_temporal([source], tmp_path / 'a.jsonl', videos=videos('one.mp4'))
    annotation, = load_transcripts(report.output)
    assert annotation['duration'] == 2.5
    assert [word for word, *_ in annotation['words']] == ['so', 'we', 'add']
    assert report.remarks == {'words beyond the end of the video: left out': 2}
    assert annotation['meta']['text'] == 'raw'


def test_mistaken_encodings_are_mended(source, videos, tmp_path):
    put(source, one=record('one', subtitles=[{'word': 'cafÃ©', 'time': 0.5}],
                           denoised=[{'cleanasr': 'CafÃ©.'}]))
    report = convert_yt_temporal([source], tmp_path / 'a.jsonl', videos=videos('one.mp4'))
    assert load_transcripts(report.output)[0]['words'] == [['Café.', 0.5, 1.5]]


def test_lines_and_compressed_lines(source, videos, tmp_path):
    (source / 'x.jsonl').write_text(json.dumps(record('one')) + '\n\n')
    with gzip.open(source / 'y.jsonl.gz', 'wt') as file:
        file.write(json.dumps(record('two')) + '\n' + json.dumps(record('three')))
    report = convert_yt_temporal(
        [source], tmp_path / 'a.jsonl', videos=videos('one.mp4', 'two.mp4'), workers=2)
    assert [one['id'] for one in load_transcripts(report.output)] == ['one', 'two']
    assert report.dropped_list.read_text() == (
        f'{source / "y.jsonl.gz"}, line 2\tthere is no video file of its name\n')


@pytest.mark.parametrize(('content', 'reason'), [
    ([], 'it has no "info"'),
    (record('one', info={}), 'its "info" has no "id"'),
    (record('one', subtitles=[]), 'its "subtitles" have no word'),
    (record('one', subtitles=['so']), 'its "subtitles" are not a list of words with times'),
    (record('one', subtitles=[{'word': 'so'}]),
     'its "subtitles" are not a list of words with times'),
    (record('one', denoised=[{'cleanasr': 'so'}, {'cleanasr': None}]),
     'its "denoised" is not a list of spans with "cleanasr"'),
    (record('two'), 'there is no video file of its name'),
])
def test_what_cannot_be_used_is_dropped_with_its_reason(source, videos, tmp_path, content, reason):
    put(source, bad=content, good=record('three'))
    (source / 'worse.json').write_text('{"info": ')
    report = convert_yt_temporal(
        [source], tmp_path / 'a.jsonl', videos=videos('one.mp4', 'three.mp4'))
    assert report.num_written == 1
    assert report.reasons == {reason: 1, 'it is not valid JSON': 1}


def test_a_damaged_archive_gives_what_can_be_read(source, videos, tmp_path):
    lines = ''.join(json.dumps(record(f'v{i}', noise=list(range(i, i + 99)))) + '\n'
                    for i in range(200))
    (source / 'x.jsonl.gz').write_bytes(gzip.compress(lines.encode())[:-2000])
    put(source, y=record('last'))
    report = convert_yt_temporal(
        [source], tmp_path / 'a.jsonl',
        videos=videos('last.mp4', *(f'v{i}.mp4' for i in range(200))))
    assert 1 < report.num_written < 201
    assert load_transcripts(report.output)[-1]['id'] == 'last'
    assert report.reasons == {'the rest of its file cannot be read': 1}
    assert f', after line {report.num_written - 1}\t' in report.dropped_list.read_text()


def test_missing_sources(source, videos, tmp_path):
    for path, message in ((source, r'no \.json'), (source / 'none', 'no file or folder')):
        with pytest.raises(FileNotFoundError, match=message):
            convert_yt_temporal([path], tmp_path / 'a.jsonl', videos=videos('one.mp4'))


def test_odd_words_and_files(source, videos, tmp_path):
    subtitles = [{'word': 'go', 'time': 0.5}, {'word': 'nan', 'time': float('nan')},
                 {'word': 'left', 'time': 10**400}]
    text = json.dumps(record('one', info={'id': 'one', 'duration': float('nan')}, denoised=[{
        'cleanasr': 'Go ' + 'and so on it goes ' * 9}], subtitles=subtitles))
    (source / 'a.JSON').write_text(text, encoding='utf-16')
    (source / 'b.jsonl').write_bytes(b'{"info": "caf\xe9"}\n')
    report = convert_yt_temporal([source], tmp_path / 'a.jsonl', videos=videos('one.mp4'))
    record_, = load_transcripts(report.output)
    assert (record_['words'], record_['duration']) == ([['Go', 0.5, 1.5]], 2.5)
    assert report.remarks == {
        'words without a time: left out': 2,
        'words of the cleaned text that nobody could say in their time: left out': 45}
    assert report.reasons == {'it is not valid JSON': 1}


def test_numbers_and_brackets_without_end(source, videos, tmp_path):
    put(source, one=record('one', info={'id': 'one', 'duration': 10**400}))
    (source / 'deep.json').write_text('[' * 100_000)
    report = convert_yt_temporal([source], tmp_path / 'a.jsonl', videos=videos('one.mp4'))
    assert load_transcripts(report.output)[0]['duration'] == 2.5  # that of the video
    assert report.reasons == {'it is not valid JSON': 1}
