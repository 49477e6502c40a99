import random
import sys

import pytest

from tvtsv2_mm.preparation.converters.word_alignment import transfer_times
from tvtsv2_mm.utils.extras import MissingPackageError


def half_seconds(*words: str) -> list[tuple[str, float, float]]:
    return [(word, 0.5 * i, 0.5 * i + 0.5) for i, word in enumerate(words)]


def test_equal_words_keep_their_times():
    raw = half_seconds('so', "let's", 'go')
    assert transfer_times(raw, ['So,', "Let's", 'GO!']) == [
        ('So,', 0.0, 0.5), ("Let's", 0.5, 1.0), ('GO!', 1.0, 1.5)]


def test_changed_words_share_the_time_of_what_they_replace():
    raw = half_seconds('an', 'extra', 'virgin', 'oil')
    assert transfer_times(raw, ['an', 'extra-virgin', 'oil']) == [
        ('an', 0.0, 0.5), ('extra-virgin', 0.5, 1.5), ('oil', 1.5, 2.0)]
    assert transfer_times(half_seconds('a', 'pancakes', 'z'), ['a', 'pan', 'cakes', 'z'])[1:3] == [
        ('pan', 0.5, 0.5 + 0.5 * 3 / 8), ('cakes', 0.5 + 0.5 * 3 / 8, 1.0)]


def test_dropped_words_leave_their_time_empty():
    raw = half_seconds('left', 'uh', 'um', 'right')
    assert transfer_times(raw, ['Left', 'right.']) == [('Left', 0.0, 0.5), ('right.', 1.5, 2.0)]


def test_added_words_share_the_pause():
    raw = [('left', 0.0, 0.5), ('right', 1.5, 2.0)]
    assert transfer_times(raw, ['left', 'then', 'goes', 'right'])[1:3] == [
        ('then', 0.5, 1.0), ('goes', 1.0, 1.5)]
    # No pause: they are said in an instant.
    assert transfer_times(half_seconds('go', 'left'), ['go', 'to', 'left'])[1] == ('to', 0.5, 0.5)


def test_what_nobody_can_have_said_is_left_out():
    raw = half_seconds('thanks', 'for', 'watching')
    invented = [f'and{i}' for i in range(30)]
    assert transfer_times(raw, ['Thanks', 'for', 'watching.', *invented]) == [
        ('Thanks', 0.0, 0.5), ('for', 0.5, 1.0), ('watching.', 1.0, 1.5)]
    assert len(transfer_times(raw, ['Thanks', *invented, 'watching.'])) == 2


def test_all_is_changed_or_missing():
    raw = half_seconds('ab', 'cd')
    assert transfer_times(raw, ['xy', 'zw']) == [('xy', 0.0, 0.5), ('zw', 0.5, 1.0)]
    assert transfer_times(raw, []) == []


def test_starts_never_decrease():
    generator = random.Random(0)
    vocabulary = ['the', 'a', 'ball', 'box', 'moves', 'left', 'right', '-']
    for _ in range(200):
        raw = half_seconds(*generator.choices(vocabulary, k=generator.randint(1, 30)))
        cleaned = [word for word, _, _ in raw if generator.random() < 0.7]
        for _ in range(generator.randint(0, 10)):
            cleaned.insert(generator.randint(0, len(cleaned)), generator.choice(vocabulary))
        timed = transfer_times(raw, cleaned)
        starts = [start for _, start, _ in timed]
        assert starts == sorted(starts)
        assert all(0 <= start <= end <= raw[-1][2] + 1e-9 for _, start, end in timed)


def test_without_rapidfuzz(monkeypatch):
    monkeypatch.setitem(sys.modules, 'rapidfuzz.distance', None)
    with pytest.raises(MissingPackageError, match='needs rapidfuzz: pip install'):
        transfer_times(half_seconds('a'), ['a'])
