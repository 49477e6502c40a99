import pytest

from tvtsv2_mm.datasets.annotations import check_caption, check_transcript
from tvtsv2_mm.preparation.shards.cutting import (
    CutConfig,
    cut_record,
    cut_segments,
    cut_words,
    narrated_parts,
)


def test_silence_ends_a_part_and_margins_do_not_overlap():
    words = [['a', 5, 20], ['b', 27, 40], ['c', 48.5, 70], ['d', 80, 81]]
    kept, short = narrated_parts(words, 81.5, CutConfig(margin=5.0, max_seconds=100))
    assert kept == [(0.0, 45.0), (45.0, 75.0)]
    assert short == [(75.0, 81.5)]


def test_long_parts_are_cut_and_nothing_is_lost():
    words = [[f'w{i}', i, i + 0.5] for i in range(150)]
    kept, short = narrated_parts(words, 150.0, CutConfig())
    assert short == []
    assert [round(end - start, 6) for start, end in kept] == [50.0] * 3
    found = [text for start, end in kept for text, *_ in cut_words(words, start, end)]
    assert found == [f'w{i}' for i in range(150)]


def test_words_beyond_the_video():
    kept, _ = narrated_parts([['a', 1, 10], ['b', 15, 90], ['c', 95, 99]], 20.0, CutConfig())
    assert kept == [(0.0, 20.0)]
    assert narrated_parts([], 20.0, CutConfig()) == ([], [])


def test_words_and_cues_are_shifted():
    assert cut_words([['a', 9, 10.9], ['b', 9.5, 11], ['c', 20, 22.5]], 10.0, 21.5) == [
        ['b', 0.0, 1.0], ['c', 10.0, 11.5]]
    # 'one' counts at 11, 'two' at 13, 'three' at 15.
    cue = [['one two three', 10, 16]]
    assert cut_segments(cue, 12.5, 15.0) == [['two', 0.0, 1.5]]
    assert cut_segments(cue, 0.0, 11.0) == []


def test_cut_records_are_records():
    record = dict(path='a.mp4', duration=90, words=[['so', 30, 31], ['now', 80, 81]],
                  meta=dict(language='en'))
    cut = cut_record(record, 25.0, 60.0)
    check_transcript(cut)
    assert cut == dict(path='a.mp4', duration=35.0, words=[['so', 5.0, 6.0]],
                       id='a.mp4#t=25.0,60.0', meta=dict(language='en', cut=[25.0, 60.0]))
    caption = dict(path='a.mp4', captions=['x', 'y'], start=2, end=7, answer=1, id='me')
    cut = cut_record(caption, 2.0, 7.0)
    check_caption(cut)
    assert cut == dict(path='a.mp4', captions=['x', 'y'], answer=1, duration=5.0,
                       id='me#t=2.0,7.0', meta=dict(cut=[2.0, 7.0]))


def test_lengths_that_do_not_fit():
    with pytest.raises(ValueError, match='max_seconds at least twice min_seconds'):
        CutConfig(min_seconds=20, max_seconds=30)
