import itertools

import numpy as np
import pytest

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.transforms import SampleTranscriptSegments
from tvtsv2_mm.datasets.transforms.transcript_segments import timed_words


def make_sample(duration=60.0, seed=0, **kwargs):
    """One word each half second, word i in the middle of the i-th half second."""
    if not kwargs:
        kwargs['words'] = [(f'w{i}', i / 2, i / 2 + 0.5) for i in range(int(2 * duration))]
    return dict(filename='a.mp4', duration=duration, rng=np.random.default_rng(seed), **kwargs)


@pytest.mark.parametrize('seed', range(8))
def test_segments_and_gaps_follow_each_other(seed):
    results = SampleTranscriptSegments().transform(make_sample(seed=seed))
    segments = results['segments_s']
    assert len(segments) == len(results['texts']) == 4
    lengths = {round(end - start, 6) for start, end in segments}
    assert len(lengths) == 1
    assert lengths < {3.0, 4.0, 5.0}
    for (_, end), (start, _) in itertools.pairwise(segments):
        assert start - end == pytest.approx(1.0)
    assert results['span'] == (segments[0][0], segments[-1][1])
    assert results['span'][0] >= 0
    assert results['span'][1] <= 60.0


def test_texts_are_the_words_whose_middle_is_inside():
    results = SampleTranscriptSegments().transform(make_sample())
    for text, (start, end) in zip(results['texts'], results['segments_s'], strict=True):
        inside = [i for i in range(120) if start <= i / 2 + 0.25 < end]
        assert text.split() == [f'w{i}' for i in inside]


def test_all_lengths_and_all_starts_are_drawn():
    spans = [SampleTranscriptSegments().transform(make_sample(seed=seed))['span']
             for seed in range(200)]
    lengths = np.array([end - start for start, end in spans])
    assert {round(length) for length in lengths} == {15, 19, 23}
    slack = 60 - lengths
    places = np.array([start for start, _ in spans]) / slack
    assert places.min() < 0.05
    assert places.max() > 0.95
    assert places.mean() == pytest.approx(0.5, abs=0.08)


def test_arguments_set_the_geometry():
    transform = SampleTranscriptSegments(num_segments=2, segment_seconds=(6, 6), gap_seconds=0.5)
    (a, b), (c, d) = transform.transform(make_sample())['segments_s']
    assert (b - a, c - b, d - c) == pytest.approx((6, 0.5, 6))


def test_a_video_just_long_enough_takes_the_lengths_that_fit():
    for seed in range(10):
        results = SampleTranscriptSegments().transform(make_sample(duration=19.5, seed=seed))
        assert results['span'][1] - results['span'][0] < 19.5
    results = SampleTranscriptSegments().transform(make_sample(duration=15.0))
    assert results['span'] == (0.0, 15.0)


def test_too_short_a_video_says_the_numbers():
    with pytest.raises(UnusableSampleError, match=(
            r'its 14\.5 s are less than the 15 s that 4 segments of 3 s with gaps of 1 s take')):
        SampleTranscriptSegments().transform(make_sample(duration=14.5))


def test_fewer_words_than_segments():
    sample = make_sample(words=[('a', 1, 2), ('b', 30, 31), ('c', 50, 51)])
    with pytest.raises(UnusableSampleError, match=r'3 words, fewer than the 4 segments'):
        SampleTranscriptSegments().transform(sample)


def test_a_draw_with_a_silent_segment_is_drawn_again():
    # Speech from 30 s on only: most draws from the first half have a silent segment.
    words = [(f'w{i}', 30 + i / 2, 30.5 + i / 2) for i in range(60)]
    for seed in range(20):
        results = SampleTranscriptSegments(max_draws=100).transform(
            make_sample(words=words, seed=seed))
        assert all(results['texts'])


def test_draws_are_bounded():
    # All words in one second: three of four segments are silent whatever the draw.
    words = [(f'w{i}', 30 + i / 100, 30 + i / 100) for i in range(20)]
    with pytest.raises(UnusableSampleError, match=(
            r'in 7 draws of 4 segments of 3-5 s one always had no words \(20 words in 60\.0 s\)')):
        SampleTranscriptSegments(max_draws=7).transform(make_sample(words=words))


def test_same_generator_same_draw():
    draws = [SampleTranscriptSegments().transform(make_sample(seed=5)) for _ in range(2)]
    assert draws[0]['span'] == draws[1]['span']
    assert draws[0]['texts'] == draws[1]['texts']


def test_words_of_a_cue_are_spread_over_it():
    words, times = timed_words({'segments': [('one two three four', 10, 18), ('five', 20, 21)]})
    assert words == ['one', 'two', 'three', 'four', 'five']
    assert times.tolist() == [11, 13, 15, 17, 20.5]


def test_a_cue_longer_than_a_segment_is_shared_out():
    cue = ' '.join(f'w{i}' for i in range(120))
    from_cue = SampleTranscriptSegments().transform(make_sample(segments=[(cue, 0, 60)]))
    from_words = SampleTranscriptSegments().transform(make_sample())
    assert from_cue['texts'] == from_words['texts']


def test_empty_cues_have_no_words():
    words, times = timed_words({'segments': [('', 0, 1), ('  ', 1, 2)]})
    assert (words, times.tolist()) == ([], [])


def test_neither_words_nor_segments():
    with pytest.raises(KeyError, match='TranscriptVideoDataset'):
        SampleTranscriptSegments().transform(make_sample(captions=['a dog']))


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(num_segments=0), 'num_segments must be at least 1, got 0'),
    (dict(segment_seconds=(5, 3)), r'got \(5, 3\)'),
    (dict(segment_seconds=(2.5, 3)), r'got \(2.5, 3\)'),
    (dict(gap_seconds=-1), 'gap_seconds'),
    (dict(max_draws=0), 'max_draws'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SampleTranscriptSegments(**kwargs)
