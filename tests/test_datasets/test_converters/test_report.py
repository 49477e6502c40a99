import pytest

from tvtsv2_mm.datasets.annotations import check_caption, load_captions
from tvtsv2_mm.datasets.converters.report import DropRecord, convert, run


def to_annotation(number: int) -> dict:
    if number % 3 == 2:
        raise DropRecord('it is a bad number')
    if number == 4:
        return {'path': '4.mp4', 'captions': []}
    return {'path': f'{number % 10}.mp4', 'captions': [f'number {number}']}


def numbered(count: int):
    return [(f'n{i}', i) for i in range(count)]


def test_all_is_counted_and_each_drop_has_its_reason(tmp_path):
    output = tmp_path / 'made' / 'a.jsonl'
    report = convert(numbered(11), to_annotation, output, check=check_caption)
    assert [record['path'] for record in load_captions(output)] == [
        '0.mp4', '1.mp4', '3.mp4', '6.mp4', '7.mp4', '9.mp4']
    dropped = dict(line.split('\t') for line in report.dropped_list.read_text().splitlines())
    assert dropped == {
        'n2': 'it is a bad number', 'n5': 'it is a bad number', 'n8': 'it is a bad number',
        'n4': '"captions" must be a list of one or more texts, not empty ones',
        'n10': 'its video has a record already'}
    assert (report.num_read, report.num_written, report.reasons.total()) == (11, 6, 5)
    assert report.summary().splitlines()[:2] == [
        'read 11, wrote 6, dropped 5', '  3 x it is a bad number']


def test_processes_give_the_same_in_the_same_order(tmp_path):
    one = convert(numbered(600), to_annotation, tmp_path / '1.jsonl', check=check_caption)
    two = convert(numbered(600), to_annotation, tmp_path / '2.jsonl', check=check_caption,
                  workers=2)
    assert one.output.read_bytes() == two.output.read_bytes()
    assert one.dropped_list.read_bytes() == two.dropped_list.read_bytes()
    assert one.reasons == two.reasons


def test_nothing_written_is_an_error_and_leaves_no_file(tmp_path, capsys):
    output = tmp_path / 'a.jsonl'
    with pytest.raises(SystemExit, match='nothing was written'):
        run(lambda: convert([('n2', 2)], to_annotation, output, check=check_caption))
    assert '1 x it is a bad number' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ['a.jsonl.dropped.tsv']


def test_an_interrupted_run_leaves_no_annotation_file(tmp_path):
    def fail(number):
        raise OSError('the disk is full')

    with pytest.raises(OSError, match='disk'):
        convert(numbered(1), fail, tmp_path / 'a.jsonl', check=check_caption)
    assert not (tmp_path / 'a.jsonl').exists()


def test_a_clean_run_leaves_no_list_of_drops(tmp_path):
    report = convert(numbered(2), to_annotation, tmp_path / 'a.jsonl', check=check_caption)
    assert [path.name for path in tmp_path.iterdir()] == ['a.jsonl']
    assert 'dropped.tsv' not in report.summary()
