from types import SimpleNamespace

import numpy as np
import pytest

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.transforms import SampleClipFrames

VIDEO = SimpleNamespace(num_frames=100, frame_starts=np.arange(100) / 10, duration=10.0)


def sample(transform, seed=0, **kwargs):
    return transform.transform(dict(
        filename='a.mp4', video_reader=VIDEO, rng=np.random.default_rng(seed), **kwargs))


def test_middle_frames_of_the_whole_video():
    results = sample(SampleClipFrames(num_frames=4, mode='middle'))
    assert results['frame_inds'].tolist() == [12, 37, 62, 87]
    assert results['num_frames'] == 4


def test_random_frames_differ_from_draw_to_draw_and_stay_in_their_intervals():
    draws = np.stack([sample(SampleClipFrames(num_frames=4), seed)['frame_inds']
                      for seed in range(30)])
    assert (draws // 25 == np.arange(4)).all()
    assert len(np.unique(draws, axis=0)) > 25


@pytest.mark.parametrize('keys', [
    dict(span=(2.0, 6.0), segments_s=[(2.0, 3.5), (4.5, 6.0)]),
    dict(start=2.0, end=6.0),
    dict(span=(2.0, 6.0), start=0.0, end=1.0),
])
def test_only_the_part_that_is_meant(keys):
    results = sample(SampleClipFrames(num_frames=4, mode='middle'), **keys)
    assert results['frame_inds'].tolist() == [24, 34, 44, 54]


@pytest.mark.parametrize(('keys', 'inds'), [
    (dict(start=8.0), [82, 87, 92, 97]),
    (dict(start=8.0, end=None), [82, 87, 92, 97]),
    (dict(end=2.0), [2, 7, 12, 17]),
    (dict(start=8.0, end=30.0), [82, 87, 92, 97]),
])
def test_open_ended_parts_and_ends_beyond_the_video(keys, inds):
    results = sample(SampleClipFrames(num_frames=4, mode='middle'), **keys)
    assert results['frame_inds'].tolist() == inds


def test_a_part_with_fewer_frames_than_asked():
    results = sample(SampleClipFrames(num_frames=12), start=1.0, end=1.5)
    assert results['frame_inds'].tolist() == [10, 11, 12, 13, 14]
    assert results['num_frames'] == 12
    assert sample(SampleClipFrames(), start=1.01, end=1.02)['frame_inds'].tolist() == [10]


@pytest.mark.parametrize('keys', [
    dict(start=10.0, end=12.0),
    dict(span=(5.0, 14.0), segments_s=[(5.0, 9.0), (10.0, 14.0)]),
])
def test_a_part_beyond_the_end(keys):
    with pytest.raises(UnusableSampleError, match=r'but the video ends at 10\.00'):
        sample(SampleClipFrames(), **keys)


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(num_frames=0), 'num_frames'), (dict(mode='uniform'), "'random', 'middle'"),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SampleClipFrames(**kwargs)
