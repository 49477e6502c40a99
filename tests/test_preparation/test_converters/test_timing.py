import math
from collections import Counter

import pytest

from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.preparation.converters.timing import fill, from_starts, in_video, spread, tidy


def test_tidy():
    assert tidy([(' b  c ', 2.00049, 1.0), ('a', -0.5, 0.25), (' ', 0, 1), ('x', math.nan, 1)]) == [
        ['a', 0.0, 0.25], ['b c', 2.0, 2.0]]


def test_tidy_keeps_the_order_of_equal_starts():
    assert [text for text, *_ in tidy([('b', 1, 2), ('a', 1, 1.5)])] == ['b', 'a']


def test_spread():
    assert spread(['a', 'b', 'c', 'd'], 1.0, 3.0) == [
        ('a', 1.0, 1.5), ('b', 1.5, 2.0), ('c', 2.0, 2.5), ('d', 2.5, 3.0)]
    assert spread([], 1.0, 3.0) == []


def test_a_pause_is_no_part_of_a_word():
    assert from_starts(['a', 'b', 'c'], [0.0, 0.4, 5.0], 5.25) == [
        ('a', 0.0, 0.4), ('b', 0.4, pytest.approx(1.4)), ('c', 5.0, 5.25)]


def test_a_stop_before_the_last_word():
    assert from_starts(['a'], [3.0], 2.0) == [('a', 3.0, 3.0)]


def test_tidy_counts_what_is_odd():
    remarks = Counter()
    assert tidy([('a', 1, 2), ('a', 1, 2), ('no', 3, 3), ('no', 3, 3), ('b', 5, 4), ('c', -2, -1),
                 ('d', 1, math.inf)], remarks) == [
                     ['a', 1, 2], ['no', 3, 3], ['no', 3, 3], ['b', 5, 5]]
    assert remarks == {
        'words that are there twice: taken once': 1, 'words without a time: left out': 1,
        'words that end before they start: taken at their start': 1,
        'words before the start of the video: left out': 1}


def test_a_segment_that_goes_on_beyond_the_video_loses_its_last_words():
    assert in_video({'duration': 10, 'segments': [['a b c d', 8, 12], ['e f', 12, 13]]}) == {
        'duration': 10, 'segments': [['a b', 8, 10]],
        'meta': {'remarks': {'words beyond the end of the video: left out': 4}}}
    assert in_video({'duration': 10, 'words': [['a', 8, 12]]})['meta'] == {
        'remarks': {'words partly beyond the end of the video: they end there': 1}}
    with pytest.raises(DropRecord, match=r'it has no word \(words beyond the end'):
        in_video({'duration': 10, 'words': [['a', 11, 12]]})
    with pytest.raises(DropRecord, match=r'it has no word$'):
        in_video({'duration': 10, 'words': []})


def test_words_without_a_time_stay_behind_one_that_ends_before_it_starts():
    words, _ = fill([('five', 5.0, 3.0), ('1984', None, None), ('end', 6.0, 7.0)])
    assert [word for word, *_ in tidy(words)] == ['five', '1984', 'end']
