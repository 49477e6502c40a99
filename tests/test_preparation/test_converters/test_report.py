import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tvtsv2_mm.datasets.annotations import check_caption, check_transcript, load_captions
from tvtsv2_mm.preparation.converters import report as report_module
from tvtsv2_mm.preparation.converters.command_line import run
from tvtsv2_mm.preparation.converters.report import DropRecord, convert, fingerprint, word_times_of

convert_captions = partial(convert, check=check_caption, source='s')


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
    report = convert_captions(numbered(11), to_annotation, output)
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
    one = convert_captions(numbered(600), to_annotation, tmp_path / '1.jsonl')
    two = convert_captions(numbered(600), to_annotation, tmp_path / '2.jsonl', workers=2)
    assert one.output.read_bytes() == two.output.read_bytes()
    assert one.dropped_list.read_bytes() == two.dropped_list.read_bytes()
    assert one.reasons == two.reasons


def test_nothing_written_is_an_error_and_leaves_no_file(tmp_path, capsys):
    output = tmp_path / 'a.jsonl'
    with pytest.raises(SystemExit, match='nothing was written'):
        run(lambda: convert_captions([('n2', 2)], to_annotation, output))
    assert '1 x it is a bad number' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ['a.jsonl.dropped.tsv']


class StopAt:
    """As to_annotation, but the run is killed at one number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, number: int) -> dict:
        if number == self.number:
            raise KeyboardInterrupt
        return to_annotation(number)


def test_remarks_of_a_killed_run_count(tmp_path, monkeypatch):
    monkeypatch.setattr(report_module._Progress, '_SAVE_EVERY_S', 0)
    records = [(str(i), i) for i in range(4)]

    def remarked(number: int) -> dict:
        return {'path': f'{number}.mp4', 'captions': ['x'], 'meta': {'remarks': {'odd': 2}}}

    def killed(number: int) -> dict:
        if number == 2:
            raise KeyboardInterrupt
        return remarked(number)

    with pytest.raises(KeyboardInterrupt):
        convert_captions(records, killed, tmp_path / 'a.jsonl')
    report = convert_captions(records, remarked, tmp_path / 'a.jsonl')
    assert (report.resumed_after, report.remarks) == (2, {'odd': 8})


def test_a_killed_run_is_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr(report_module._Progress, '_SAVE_EVERY_S', 0)
    expected = convert_captions(numbered(12), to_annotation, tmp_path / 'b.jsonl')
    output = tmp_path / 'a.jsonl'
    with pytest.raises(KeyboardInterrupt):
        convert_captions(numbered(12), StopAt(8), output)
    assert not output.exists()
    # A kill may leave more than was noted.
    for name in ('a.jsonl.part', 'a.jsonl.dropped.tsv'):
        with (tmp_path / name).open('a') as file:
            file.write('half a li')
    report = convert_captions(numbered(12), StopAt(7), output)
    assert 'went on after 8 records of an unfinished run' in report.summary()
    assert output.read_bytes() == expected.output.read_bytes()
    assert report.dropped_list.read_bytes() == expected.dropped_list.read_bytes()
    assert (report.num_read, report.num_written, report.reasons) == (
        expected.num_read, expected.num_written, expected.reasons)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] == 'a') == [
        'a.jsonl', 'a.jsonl.dropped.tsv']


def test_a_kill_right_before_the_end(tmp_path, monkeypatch):
    """The output is in place, and the note of how far it is still there."""
    monkeypatch.setattr(report_module._Progress, '_SAVE_EVERY_S', 0)
    output, note = tmp_path / 'a.jsonl', tmp_path / 'a.jsonl.progress.json'
    with pytest.raises(KeyboardInterrupt):
        convert_captions(numbered(12), StopAt(8), output)
    left = note.read_bytes()
    convert_captions(numbered(12), to_annotation, output)
    whole = output.read_bytes()
    note.write_bytes(left)
    convert_captions(numbered(12), to_annotation, output)
    assert output.read_bytes() == whole
    assert not note.exists()


SLOW = """
import sys, time
from tvtsv2_mm.datasets.annotations import check_caption
from tvtsv2_mm.preparation.converters import report

def slow(number):
    time.sleep(0.02)
    return {'path': f'{number}.mp4', 'captions': ['x']}

report._Progress._SAVE_EVERY_S = 0
report.convert(((str(i), i) for i in range(3000)), slow, sys.argv[1], check=check_caption,
               source='s', workers=2)
"""


def test_sigkill(tmp_path):
    output = tmp_path / 'a.jsonl'
    progress = tmp_path / 'a.jsonl.progress.json'
    process = subprocess.Popen([sys.executable, '-c', SLOW, str(output)], start_new_session=True,
                               cwd=Path(__file__).parents[3])
    deadline = time.monotonic() + 120
    while not progress.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()

    # Its workers are in its session and end by themselves.
    def is_over() -> bool:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    while not is_over() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert is_over()
    records = [(str(i), i) for i in range(3000)]
    report = convert_captions(
        records, lambda i: {'path': f'{i}.mp4', 'captions': ['x']}, output)
    assert 0 < report.resumed_after < 3000
    assert [record['path'] for record in load_captions(output)] == [
        f'{i}.mp4' for i in range(3000)]


def kill_process(number: int) -> dict:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_a_process_that_is_killed_is_one_error(tmp_path):
    with pytest.raises(SystemExit, match='error: one of the processes was killed'):
        run(lambda: convert_captions(numbered(2), kill_process, tmp_path / 'a.jsonl', workers=2))


def test_an_unfinished_run_of_another_source_is_not_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr(report_module._Progress, '_SAVE_EVERY_S', 0)
    output = tmp_path / 'a.jsonl'
    with pytest.raises(KeyboardInterrupt):
        convert_captions(numbered(9), StopAt(8), output)
    report = convert(numbered(4), to_annotation, output, check=check_caption, source='other')
    assert (report.started_anew, report.num_written) == (True, 3)
    assert len(load_captions(output)) == 3


def test_fingerprint(tmp_path):
    file = tmp_path / 'a'
    file.write_text('1')
    before = fingerprint([file], 'x')
    assert fingerprint([file], 'x') == before != fingerprint([file], 'y')
    os.utime(file, (1, 1))
    assert fingerprint([file], 'x') != before


def test_a_record_that_breaks_the_converter_is_listed(tmp_path):
    records = [('a', 1), ('b\tc', None), ('d', '\ud800')]

    def fail(record):
        return {'path': f'{record}.mp4', 'captions': [f'number {record + 0}']} if (
            record != '\ud800') else {'path': record, 'captions': ['x']}

    report = convert_captions(records, fail, tmp_path / 'a.jsonl')
    assert report.num_written == 1
    assert report.dropped_list.read_text().splitlines() == [
        'b c\tthe converter fails on it (TypeError)',
        'd\tits path or text is not valid Unicode']


@pytest.mark.parametrize('name', ['caf\udce9.srt', 'id \ud800'])
def test_a_dropped_name_that_is_no_unicode_is_escaped(tmp_path, name):
    report = convert_captions([(name, 2), ('a', 1)], to_annotation, tmp_path / 'a.jsonl')
    escaped = name.encode('ascii', 'backslashreplace').decode()
    assert report.dropped_list.read_text('utf-8') == f'{escaped}\tit is a bad number\n'


def test_the_report_says_whose_word_times_are_spread(tmp_path):
    annotations = [
        {'words': [['a', 0, 1]], 'meta': {'word_times': 'given'}},
        {'words': [['a', 0, 1], ['b', 1, 2]], 'meta': {'word_times': 'spread'}},
        {'words': [['a', 0, 1], ['b', 1, 2]],
         'meta': {'word_times': 'partly spread', 'spread_words': 1}},
        {'segments': [['a b c', 0, 1]]}]
    records = [(str(i), {'path': f'{i}.mp4', 'duration': 9} | annotation)
               for i, annotation in enumerate(annotations)]
    report = convert(records, dict, tmp_path / 'a.jsonl', check=check_transcript, source='s')
    assert ('times of the words: 2 spread, 1 given, 1 partly spread; those of 6 of 8 words are '
            'spread over their cue or a pause') in report.summary()
    assert word_times_of({'path': 'a.mp4', 'captions': ['x']}) is None


def test_a_clean_run_leaves_no_list_of_drops(tmp_path):
    report = convert_captions(numbered(2), to_annotation, tmp_path / 'a.jsonl')
    assert [path.name for path in tmp_path.iterdir()] == ['a.jsonl']
    assert 'dropped.tsv' not in report.summary()


@pytest.mark.parametrize('noted', [
    '{"source": "s"}', '{"source": "s", "num_read": 1, "written_bytes": -1, "dropped_bytes": 0}',
    '{"source": "s", "num_read": -1, "written_bytes": 0, "dropped_bytes": 0}',
    '{"source": "s", "num_read": 1, "written_bytes": 9, "dropped_bytes": 0}', '[]', '{',
    '{"source": "s", "num_read": 0, "written_bytes": 2147483648, "dropped_bytes": 0}',
    '{"source": "s", "num_read": 0, "written_bytes": 0, "dropped_bytes": 2147483648}'])
def test_a_damaged_note_of_an_unfinished_run_is_named(tmp_path, noted):
    (tmp_path / 'a.jsonl.progress.json').write_text(noted)
    for name in ('part', 'dropped.tsv'):
        (tmp_path / f'a.jsonl.{name}').write_text('')
    with pytest.raises(ValueError, match=r'a\.jsonl\.progress\.json'):
        convert_captions(numbered(3), to_annotation, tmp_path / 'a.jsonl')
