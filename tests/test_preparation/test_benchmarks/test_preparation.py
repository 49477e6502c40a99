import dataclasses
import hashlib
import json

import pytest

from tvtsv2_mm.datasets.annotations import load_captions, load_labels
from tvtsv2_mm.preparation.benchmarks import Sample, Split, prepare


def split(*names, part='test.txt', official=()):
    return Split(name=part, official=official, samples=[
        Sample(name=name, stems=(name.partition('/')[2].partition('.')[0], ),
               folder=name.partition('/')[0], label=label) for label, name in enumerate(names)])


@pytest.fixture
def videos(write):
    for name in ('run/a.avi', 'sit/b.mp4', 'sit/notes.txt'):
        write(f'videos/{name}')
    return write('videos/c.mkv').parent


def test_annotation_classes_and_counts(videos, tmp_path):
    report = prepare([split('run/a.avi', 'sit/b.avi', 'any/c.avi')], videos=videos,
                     out=tmp_path / 'out', classes=['run', 'sit', 'any'])
    annotations = tmp_path / 'out' / 'annotations'
    # Found in another folder and with another ending too.
    assert load_labels(annotations / 'test.txt') == [('run/a.avi', 0), ('sit/b.mp4', 1),
                                                     ('c.mkv', 2)]
    assert (tmp_path / 'out' / 'classes.txt').read_text() == 'run\nsit\nany\n'
    digest = hashlib.sha256((annotations / 'test.txt').read_bytes()).hexdigest()
    assert json.loads((annotations / 'counts.json').read_text()) == report.counts == {
        'test.txt': dict(annotated=3, used=3, missing=0, sha256=digest)}
    assert sorted(path.name for path in annotations.iterdir()) == ['counts.json', 'test.txt']


def test_missing_videos_stop_and_are_listed(videos, tmp_path):
    wanted = split('run/a.avi', 'run/gone.avi')
    with pytest.raises(ValueError, match=r'1 of 2 videos of test\.txt .*--allow-missing'):
        prepare([wanted], videos=videos, out=tmp_path)
    annotations = tmp_path / 'annotations'
    missing = annotations / 'test.txt.missing.tsv'
    assert missing.read_text() == 'run/gone.avi\tthere is no video file of its name\n'
    assert not (annotations / 'test.txt').exists()

    report = prepare([wanted], videos=videos, out=tmp_path, allow_missing=True)
    assert load_labels(annotations / 'test.txt') == [('run/a.avi', 0)]
    assert report.counts['test.txt']['missing'] == 1
    assert str(missing) in report.summary()
    # A later, complete run takes the list away.
    prepare([split('run/a.avi')], videos=videos, out=tmp_path)
    assert not missing.exists()


def test_nothing_found_is_an_error_even_when_missing_is_allowed(videos, tmp_path):
    with pytest.raises(ValueError, match='is that the folder of the videos'):
        prepare([split('run/gone.avi')], videos=videos, out=tmp_path, allow_missing=True)
    with pytest.raises(FileNotFoundError, match='no folder'):
        prepare([split('run/a.avi')], videos=tmp_path / 'nowhere', out=tmp_path)


def test_two_videos_of_one_name_are_not_guessed(videos, write, tmp_path):
    write('videos/walk/a.mp4')
    with pytest.raises(ValueError, match='1 of 1'):
        prepare([split('stand/a.avi')], videos=videos, out=tmp_path)
    assert 'several' in (tmp_path / 'annotations' / 'test.txt.missing.tsv').read_text()


def test_the_official_path_comes_first(videos, write, tmp_path):
    write('videos/run/a.mp4')
    prepare([split('run/a.avi')], videos=videos, out=tmp_path)
    assert load_labels(tmp_path / 'annotations' / 'test.txt') == [('run/a.avi', 0)]


def test_counts_are_the_official_ones(videos, tmp_path):
    with pytest.raises(ValueError, match=r'names 1 videos, the official one 1004 or 1003; --allow'):
        prepare([split('run/a.avi', official=(1004, 1003))], videos=videos, out=tmp_path)
    assert not (tmp_path / 'annotations').exists()
    prepare([split('run/a.avi', official=(1004, ))], videos=videos, out=tmp_path,
            allow_counts=True)
    with pytest.raises(ValueError, match=r'names run/a\.avi 2 times'):
        prepare([split('run/a.avi', 'run/a.avi')], videos=videos, out=tmp_path)
    with pytest.raises(ValueError, match='names no video'):
        prepare([split()], videos=videos, out=tmp_path)


def test_counts_of_other_splits_stay(videos, tmp_path):
    prepare([split('run/a.avi', part='test_split1.txt')], videos=videos, out=tmp_path)
    prepare([split('sit/b.avi', part='test_split2.txt')], videos=videos, out=tmp_path)
    counts = json.loads((tmp_path / 'annotations' / 'counts.json').read_text())
    assert sorted(counts) == ['test_split1.txt', 'test_split2.txt']


def test_captions(videos, tmp_path):
    wanted = Split(name='test.jsonl', samples=[
        Sample(name='a', stems=('a', ), annotation={'captions': ['x', 'ü'], 'answer': 1})])
    prepare([wanted], videos=videos, out=tmp_path)
    assert load_captions(tmp_path / 'annotations' / 'test.jsonl') == [
        {'path': 'run/a.avi', 'id': 'a', 'captions': ['x', 'ü'], 'answer': 1}]
    empty = Split(name='test.jsonl', samples=[
        Sample(name='a', stems=('a', ), annotation={'captions': ['']})])
    with pytest.raises(ValueError, match=r'test\.jsonl: a: "captions" must be'):
        prepare([empty], videos=videos, out=tmp_path)


def test_a_query_bank_needs_no_videos(videos, tmp_path):
    def captioned(name, *stems, **more):
        return Split(name=name, samples=[
            Sample(name=stem, stems=(stem, ), annotation={'captions': ['x', 'y']})
            for stem in stems], **more)

    report = prepare([captioned('test.jsonl', 'a'),
                      captioned('train.jsonl', 'b', 'gone', captions_only=True)],
                     videos=videos, out=tmp_path)
    annotations = tmp_path / 'annotations'
    assert [(record['path'], record['captions'])
            for record in load_captions(annotations / 'train.jsonl')] == [
                ('sit/b.mp4', ['x', 'y']), ('gone', ['x', 'y'])]
    assert 'train.jsonl: 1 of 2 videos; all 4 captions' in report.summary()
    assert report.counts['train.jsonl']['missing'] == 1
    assert not (annotations / 'train.jsonl.missing.tsv').exists()
    with pytest.raises(ValueError, match=r'train\.jsonl: 1 of its videos are in another split too,'
                                         ' a; a query bank has training videos alone'):
        prepare([captioned('test.jsonl', 'a'),
                 captioned('train.jsonl', 'b', 'a', captions_only=True)],
                videos=videos, out=tmp_path)


def test_a_file_counts_for_one_name(videos, write, tmp_path):
    def parts(*names):
        return Split(name='test.txt', samples=[
            Sample(name=name, stems=(name, 'c'), label=0) for name in names])

    with pytest.raises(ValueError, match='2 of 2 videos'):
        prepare([parts('c_0_10', 'c_20_30')], videos=videos, out=tmp_path)
    assert (tmp_path / 'annotations' / 'test.txt.missing.tsv').read_text() == ''.join(
        f'{name}\tc.mkv is the only file for 2 videos of the annotation\n'
        for name in ('c_0_10', 'c_20_30'))
    prepare([parts('c_0_10')], videos=videos, out=tmp_path)
    # In two splits too; a file of its own goes first.
    write('videos/c_20_30.mp4')
    train = dataclasses.replace(parts('c_20_30'), name='train.txt')
    prepare([parts('c_0_10'), train], videos=videos, out=tmp_path)
    assert load_labels(tmp_path / 'annotations' / 'test.txt') == [('c.mkv', 0)]
    assert load_labels(tmp_path / 'annotations' / 'train.txt') == [('c_20_30.mp4', 0)]
    # run/a.avi is the file of its own name, not that of another folder's a.avi.
    prepare([split('any/a.avi', 'run/a.avi')], videos=videos, out=tmp_path, allow_missing=True)
    assert load_labels(tmp_path / 'annotations' / 'test.txt') == [('run/a.avi', 1)]


def test_a_path_is_more_than_a_name(videos, tmp_path):
    def at(folder):
        return Split(name='test.txt', remark='2 odd ones: left out', samples=[
            Sample(name=f'{folder}/b.mov', stems=('b', ), folder=folder, label=3, anywhere=False)])

    report = prepare([at('sit')], videos=videos, out=tmp_path)
    assert load_labels(tmp_path / 'annotations' / 'test.txt') == [('sit/b.mp4', 3)]
    assert '2 odd ones: left out' in report.summary()
    with pytest.raises(ValueError, match='1 of 1'):
        prepare([at('run')], videos=videos, out=tmp_path)
    assert 'in another folder only' in (
        tmp_path / 'annotations' / 'test.txt.missing.tsv').read_text()


def test_a_name_that_no_file_can_have(videos, tmp_path):
    report = prepare([split('run/a.avi', f'run/{"x" * 300}.avi')], videos=videos, out=tmp_path,
                     allow_missing=True)
    assert report.counts['test.txt']['missing'] == 1


@pytest.mark.parametrize('text', ['{', '[1]', '[' * 100_000])
def test_damaged_counts_are_named(videos, write, tmp_path, text):
    write('annotations/counts.json', text)
    with pytest.raises(ValueError, match=r'counts\.json is damaged; remove it and prepare again'):
        prepare([split('run/a.avi')], videos=videos, out=tmp_path)
