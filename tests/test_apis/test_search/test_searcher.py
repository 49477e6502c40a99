import numpy as np
import pytest

from tvtsv2_mm.apis.features import FeatureSet
from tvtsv2_mm.apis.search import Searcher
from tvtsv2_mm.apis.search.searcher import Moment, join, merge
from tvtsv2_mm.apis.search.vectors import ExactIndex


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def features_of(cosines, *, spans=None, videos=None, texts=None):
    """Features with these cosines with the query (1, 0)."""
    cosines = np.asarray(cosines, np.float32)
    return FeatureSet(
        videos=videos, features=np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1), failed=[],
        meta={}, keys=np.arange(len(cosines)), texts=texts,
        spans=None if spans is None else np.asarray(spans, np.float64))


QUERY = np.array([1, 0], np.float32)


def test_neighbouring_windows_are_one_moment():
    spans = [[0, 4], [2, 6], [4, 8], [8, 12], [10, 14]]
    found = features_of([0.1, 0.9, 0.8, 0.2, 0.7, *[0.3] * 5], spans=spans * 2,
                        videos=['a'] * 5 + ['b'] * 5)
    [best, *others] = Searcher(found).search(QUERY, 1)
    assert not others and best.video == 'a' and best.span == (0.0, 14.0)  # all ten were looked at
    assert best.score == best.cosine == pytest.approx(0.9) and best.row == 1

    # With many others, what is far from the query divides the moments.
    rng = np.random.default_rng(0)
    far = features_of(rng.uniform(-0.5, 0.0, 1000), videos=[f'v{i}' for i in range(1000)],
                      spans=[[0, 4]] * 1000)
    many = features_of(np.r_[0.1, 0.9, 0.8, -0.9, 0.7, far.features[:, 0]],
                       videos=['a'] * 5 + far.videos, spans=spans + far.spans.tolist())
    found = Searcher(many).search(QUERY, 3)
    assert [(moment.video, moment.span) for moment in found[:2]] == [
        ('a', (0.0, 8.0)), ('a', (10.0, 14.0))]


def test_as_many_as_are_asked_where_there_are_as_many():
    spans = [[i, i + 1.0] for i in range(500)]  # one long moment, and 20 elsewhere
    videos = ['a'] * 500 + [f'v{i}' for i in range(20)]
    found = Searcher(features_of(np.r_[[0.9] * 500, [0.1] * 20], videos=videos,
                                 spans=spans + [[0, 1]] * 20))
    assert len(found.search(QUERY, 15)) == 15
    assert len(found.search(QUERY, 100)) == 21
    assert [moment.video for moment in found.search(QUERY, 2, per_video=True)] == ['a', 'v0']
    assert found.search(QUERY, 1, per_video=True)[0].span is None


def test_whole_videos():
    found = Searcher(features_of([0.1, 0.9, 0.5], videos=['a', 'b', 'c'])).search(QUERY, 2)
    assert [(moment.video, moment.span) for moment in found] == [('b', None), ('c', None)]


def standard(values):
    values = np.asarray(values, np.float32)
    return (values - values.mean()) / values.std()


def test_sight_and_speech_are_joined_by_how_far_they_stand_out():
    sights, words = [0.3, 0.2, 0.1, 0.0, -0.4], [0.9, 0.8, 0.2]
    seen = features_of(sights, videos=['a', 'b', 'b', 'c', 'd'],
                       spans=[[0, 4], [0, 4], [20, 24], [0, 4], [8, 9]])
    said = features_of(words, videos=['b', 'c', 'd'], texts=['x', 'y', 'z'],
                       spans=[[3, 9], [30, 35], [1, 2]])
    found = Searcher(seen, said).search(QUERY, 10)
    by_sight, by_words = standard(sights), standard(words)
    assert [(moment.video, moment.span, moment.text) for moment in found] == [
        ('b', (0.0, 9.0), 'x'), ('a', (0.0, 4.0), None), ('c', (30.0, 35.0), 'y'),
        ('b', (20.0, 24.0), None), ('c', (0.0, 4.0), None), ('d', (8.0, 9.0), None)]
    first, second, third, *_ = found
    assert first.score == pytest.approx(by_sight[1] + by_words[0], abs=1e-4)
    assert (first.cosine, first.text_cosine, first.row) == (
        pytest.approx(0.2), pytest.approx(0.9), 1)
    assert second.score == pytest.approx(by_sight[0], abs=1e-4) and second.text_cosine is None
    assert third.score == pytest.approx(by_words[1], abs=1e-4)
    assert (third.cosine, third.row) == (None, None)  # "z" is below the mean of what is said
    videos = Searcher(seen, said).search(QUERY, 10, per_video=True)
    assert [(moment.video, moment.text, moment.span) for moment in videos] == [
        ('b', 'x', None), ('a', None, None), ('c', 'y', None), ('d', None, None)]
    alone = Searcher(seen, said).search(QUERY, 10, speech=False)
    assert all(moment.text is None and moment.score == moment.cosine for moment in alone)


def test_few_passages_do_not_come_before_what_is_seen():
    rng = np.random.default_rng(0)
    seen = features_of(np.r_[1.0, rng.normal(0, 0.2, 999).clip(-0.6, 0.6)],
                       videos=[f'v{i}' for i in range(1000)], spans=[[0, 4]] * 1000)
    said = features_of([0.6, 0.5], videos=['v500', 'v501'], spans=[[0, 2]] * 2,
                       texts=['unrelated', 'unrelated too'])
    found = Searcher(seen, said).search(QUERY, 20)
    assert found[0].video == 'v0' and not any(moment.text for moment in found)
    # One of many that is meant does.
    said = features_of(np.r_[0.95, rng.normal(0.5, 0.05, 49)], texts=['meant', *['other'] * 49],
                       videos=[f'v{500 + i}' for i in range(50)], spans=[[0, 2]] * 50)
    best = Searcher(seen, said).search(QUERY, 1)[0]
    assert (best.video, best.text) == ('v500', 'meant')


def test_a_passage_over_two_moments_makes_them_one():
    seen = [Moment(video='a', span=(0.0, 4.0), score=0.9, cosine=0.9, row=0),
            Moment(video='a', span=(8.0, 12.0), score=0.5, cosine=0.5, row=4)]
    said = [Moment(video='a', span=(3.0, 9.0), score=0.7, text='x', text_cosine=0.7)]
    [moment] = join(seen, said)
    assert moment.span == (0.0, 12.0) and (moment.cosine, moment.row, moment.text) == (0.9, 0, 'x')
    assert moment.score == pytest.approx(1.6)
    assert merge([]) == join([], []) == []


def test_nearest_in_parts_and_of_equal_ones_the_first(monkeypatch):
    rng = np.random.default_rng(0)
    features, queries = unit(rng.normal(size=(300, 8))), unit(rng.normal(size=(7, 8)))
    features[100:200] = features[0]
    monkeypatch.setattr('tvtsv2_mm.apis.search.vectors._VALUES_AT_ONCE', 650)
    rows, cosines = ExactIndex(features).nearest(queries, 20)
    similarity = queries @ features.T
    np.testing.assert_allclose(cosines, -np.sort(-similarity, axis=1)[:, :20], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(similarity, rows, axis=1), cosines, atol=1e-6)
    assert ExactIndex(features).nearest(features[:1], 3)[0][0, 0] == 0
    assert ExactIndex(features[:0]).nearest(queries, 3)[0].shape == (7, 0)
    with pytest.raises(ValueError, match='width 8, the queries 9'):
        ExactIndex(features).nearest(np.ones((1, 9), np.float32), 1)


def test_what_cannot_be_searched():
    with pytest.raises(ValueError, match='no video to find'):
        Searcher(features_of([], videos=[]))
    with pytest.raises(ValueError, match='top_k must be at least 1'):
        Searcher(features_of([0.5], videos=['a'])).search(QUERY, 0)
