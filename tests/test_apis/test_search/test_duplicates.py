import numpy as np
import pytest

from tests.test_apis.test_search.test_searcher import features_of, unit
from tvtsv2_mm.apis.features import FeatureSet
from tvtsv2_mm.apis.search import duplicates
from tvtsv2_mm.apis.search.duplicates import find_duplicates


def films(rows, lengths):
    """Windows of 4 s, one every 2 s, of films of so many windows each."""
    names = [f'{chr(97 + film)}.mp4' for film, length in enumerate(lengths) for _ in range(length)]
    starts = np.concatenate([2.0 * np.arange(length) for length in lengths])
    return FeatureSet(videos=names, features=rows, failed=[], meta={}, keys=np.arange(len(rows)),
                      spans=np.stack([starts, starts + 4], axis=1))


@pytest.mark.parametrize('values_at_once', [1, 2**25])
def test_a_part_that_is_in_two_films_is_found_with_its_times(monkeypatch, values_at_once):
    monkeypatch.setattr(duplicates, '_VALUES_AT_ONCE', values_at_once)
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(70, 64)))
    rows[45:50] = unit(rows[10:15] + 0.02 * rng.normal(size=(5, 64)))  # of a in b, later
    rows[65] = rows[32]  # of b in c
    rows[3] = rows[2]  # the same film stands still: of no account
    first, second = find_duplicates(films(rows, (30, 30, 10)))
    assert first.videos == ('a.mp4', 'b.mp4') and first.cosine == pytest.approx(0.99, abs=0.01)
    assert first.spans == ((20.0, 32.0), (30.0, 42.0))
    assert second.videos == ('b.mp4', 'c.mp4') and second.cosine == pytest.approx(1)
    assert second.spans == ((4.0, 8.0), (10.0, 14.0))


def test_whole_videos():
    found = features_of([1.0, 0.5, 0.999], videos=['a', 'b', 'c'])
    [pair] = find_duplicates(found, 0.99)
    assert (pair.videos, pair.spans) == (('a', 'c'), (None, None))
    assert len(find_duplicates(found, -1)) == 3
    with pytest.raises(ValueError, match='threshold must be a cosine'):
        find_duplicates(found, 1.5)


@pytest.mark.parametrize('values_at_once', [1, 2**25])
@pytest.mark.parametrize('odd', [0, 15, 29])
def test_each_of_many_copies_is_found_wherever_it_lies(monkeypatch, odd, values_at_once):
    """Its own nearest count, though it is not among those of the others."""
    monkeypatch.setattr(duplicates, '_VALUES_AT_ONCE', values_at_once)
    rows = np.tile(unit([[1.0, 0.0]]), (30, 1))
    rows[odd] = unit([[1.0, 0.1]])[0]
    found = find_duplicates(films(rows, [1] * 30))
    assert {name for pair in found for name in pair.videos} == {
        f'{chr(97 + film)}.mp4' for film in range(30)}
    assert len({pair.videos for pair in found}) == len(found)


def test_copies_have_a_cosine_of_1():
    row = unit(np.random.default_rng(0).normal(size=(1, 512)))
    assert len(find_duplicates(films(np.tile(row, (8, 1)), (4, 4)), 1)) == 1


def test_nothing_to_compare():
    with pytest.raises(ValueError, match='no video to compare'):
        find_duplicates(FeatureSet(videos=[], features=np.zeros((0, 0), np.float32), failed=[],
                                   meta={}, keys=np.zeros(0, np.int64)))


def test_black_frames_everywhere_do_not_fill_the_memory():
    rows = np.tile(unit([[1.0, 0.0]]), (3000, 1))
    found = find_duplicates(films(rows, (10, ) * 300))
    assert 0 < len(found) < 3000 * 20
