import pytest

from tvtsv2_mm.datasets.annotations import load_captions
from tvtsv2_mm.preparation.converters import convert_webvid
from tvtsv2_mm.preparation.converters.webvid import seconds_of

HEADER = 'videoid,name,page_idx,page_dir,duration,contentUrl\n'


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'rows.csv'
    path.write_text(HEADER + (
        '11,"A dog, running.",7,000001_000050,PT00H00M17S,u\n'
        '12,"Zwei Häuser\nam See",7,000001_000050,PT01H02M03S,u\n'
        '13,  ,7,000001_000050,PT00H00M17S,u\n'
        '14,no duration,7,000051_000100,,u\n'
        '15,too short\n'
        '11,again,7,000001_000050,PT00H00M17S,u\n'), encoding='utf-8')
    return path


def test_rows(source, tmp_path):
    report = convert_webvid(source, tmp_path / 'a.jsonl')
    assert load_captions(report.output) == [
        {'path': '000001_000050/11.mp4', 'captions': ['A dog, running.'], 'duration': 17.0},
        {'path': '000001_000050/12.mp4', 'captions': ['Zwei Häuser\nam See'], 'duration': 3723.0},
        {'path': '000051_000100/14.mp4', 'captions': ['no duration']},
    ]
    assert report.num_read == 6
    assert report.reasons == {'it has no caption': 1, 'its video has a record already': 1,
                              'its row has another number of fields than the header': 1}
    assert f'{source}, line 5\tit has no caption\n' in report.dropped_list.read_text()


def test_only_videos_that_are_there(source, videos, tmp_path):
    report = convert_webvid(source, tmp_path / 'a.jsonl', videos=videos('000051_000100/14.mp4'))
    assert [record['path'] for record in load_captions(report.output)] == ['000051_000100/14.mp4']
    assert report.reasons['there is no video file of its name'] == 3


def test_another_layout(tmp_path):
    (tmp_path / 'rows.csv').write_text('videoid,name\nx1,a cat\n')
    with pytest.raises(ValueError, match=r'no column page_dir; it has videoid, name .*--layout'):
        convert_webvid(tmp_path / 'rows.csv', tmp_path / 'a.jsonl')
    report = convert_webvid(tmp_path / 'rows.csv', tmp_path / 'a.jsonl', layout='{videoid}.webm')
    assert load_captions(report.output) == [{'path': 'x1.webm', 'captions': ['a cat']}]


def test_missing_files(source, tmp_path):
    with pytest.raises(FileNotFoundError, match='no csv file'):
        convert_webvid(tmp_path / 'none.csv', tmp_path / 'a.jsonl')
    with pytest.raises(FileNotFoundError, match='no folder'):
        convert_webvid(source, tmp_path / 'a.jsonl', videos=tmp_path / 'none')


@pytest.mark.parametrize(('text', 'seconds'), [
    ('PT00H00M17S', 17), ('PT1M', 60), ('PT2H0.5S', 7200.5), ('PT', None), ('17', None)])
def test_durations(text, seconds):
    assert seconds_of(text) == seconds


def test_odd_rows(tmp_path):
    source = tmp_path / 'rows.csv'
    source.write_text('videoid, name,page_dir\n1,a,x\n1,b,./x\n2,c,\n3,d,../../x\n')
    report = convert_webvid(source, tmp_path / 'a.jsonl')
    assert [record['path'] for record in load_captions(report.output)] == ['x/1.mp4']
    assert report.reasons == {'its video has a record already': 1,
                              'its path leaves the folder of the videos': 2}
    source.write_text('videoid,name,page_dir\n1,a,x\n2,"b,x\n3,c,x\n')
    with pytest.raises(ValueError, match=r'rows\.csv, line 3: .*is a quote'):
        convert_webvid(source, tmp_path / 'a.jsonl')
