import math

import pytest

from tvtsv2_mm.datasets.converters.timing import from_starts, spread, tidy


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
