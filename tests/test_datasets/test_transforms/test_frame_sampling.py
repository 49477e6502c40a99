from types import SimpleNamespace

import numpy as np
import pytest

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.frame_indices import clip_frames
from tvtsv2_mm.datasets.transforms import DecodeClip, SampleClipFrames, ShowFrames

VIDEO = SimpleNamespace(num_frames=100, frame_starts=np.arange(100) / 10, duration=10.0)


# A second at 60 frames a second, then nine at two.
VARYING_STARTS = np.concatenate([np.arange(60) / 60, 1 + np.arange(18) / 2])
VARYING = SimpleNamespace(num_frames=78, frame_starts=VARYING_STARTS, duration=10.0)


def middle_frames(start, stop, num_frames):
    return clip_frames(start, stop, num_frames, num_clips=1)[0]


def sample(transform, seed=0, video=VIDEO, **kwargs):
    return transform.transform(dict(
        filename='a.mp4', video_reader=video, rng=np.random.default_rng(seed)) | kwargs)


def at_constant_rate(fps, num_frames, digits, first=0.0):
    starts = np.round(first + np.arange(num_frames) / fps, digits)
    return SimpleNamespace(
        num_frames=num_frames, frame_starts=starts, duration=starts[-1] + 1 / fps)


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


@pytest.mark.parametrize('mode', ['random', 'middle'])
def test_where_the_rate_varies_the_intervals_are_of_time(mode):
    results = sample(SampleClipFrames(mode=mode), video=VARYING)
    assert results['frame_spacing'] == 'time'
    shown = VARYING_STARTS[results['frame_inds']]
    assert (shown < 1).sum() <= 2
    # Each frame is shown at some time of its interval: it began at most half a second before.
    edges = np.linspace(0, 10, 13)
    assert (shown < edges[1:]).all() and (shown > edges[:-1] - 0.5).all()


def test_the_middle_of_each_interval_of_time():
    results = sample(SampleClipFrames(mode='middle'), video=VARYING)
    times = (np.arange(12) + 0.5) * 10 / 12
    expected = [np.flatnonzero(time >= VARYING_STARTS)[-1] for time in times]
    assert results['frame_inds'].tolist() == expected


def test_random_frames_in_time_come_from_the_whole_of_each_interval():
    draws = np.stack([
        sample(SampleClipFrames(num_frames=2), seed, video=VARYING)['frame_inds']
        for seed in range(300)])
    assert set(draws[:, 1]) == set(range(68, 78))
    assert {*range(60, 68)} <= set(draws[:, 0]) and (draws[:, 0] < 60).mean() < 0.35


@pytest.mark.parametrize(('fps', 'digits'), [
    (30, 3), (29.97, 3), (23.976, 2), (240, 3), (60, 6), (1000 / 33, 3)])
@pytest.mark.parametrize('first', [0.0, 0.7])
def test_rounded_time_stamps_are_a_constant_rate(fps, digits, first):
    for number in (1, 2, 13, 300, 5000):
        results = sample(SampleClipFrames(mode='middle'),
                         video=at_constant_rate(fps, number, digits, first))
        assert results['frame_spacing'] == 'index'
        assert results['frame_inds'].tolist() == middle_frames(0, number, 12).tolist()


@pytest.mark.parametrize('num_frames', [1, 3, 12])
def test_a_lost_frame_leaves_the_rule_of_the_paper(num_frames):
    starts = np.delete(np.arange(300) / 30, [40])
    video = SimpleNamespace(num_frames=299, frame_starts=starts, duration=10.0)
    results = sample(SampleClipFrames(num_frames=num_frames, mode='middle'), video=video)
    assert results['frame_spacing'] == 'index'
    assert results['frame_inds'].tolist() == middle_frames(0, 299, num_frames).tolist()


@pytest.mark.parametrize(('num_frames', 'pause', 'spacing'), [
    (1, 0.12, 'time'), (12, 0.12, 'time'), (12, 0.08, 'index'), (200, 0.08, 'time')])
def test_half_an_interval_or_a_frame_and_a_half_is_the_limit(num_frames, pause, spacing):
    starts = np.arange(300) / 30 + pause * (np.arange(300) >= 150)
    video = SimpleNamespace(num_frames=300, frame_starts=starts, duration=10.0 + pause)
    results = sample(SampleClipFrames(num_frames=num_frames), video=video)
    assert results['frame_spacing'] == spacing


@pytest.mark.parametrize('pauses', [
    {299: 10.0}, {0: 10.0}, {150: 3.0}, dict.fromkeys(range(30, 300), 1 / 60),
    dict.fromkeys(np.random.default_rng(0).permutation(300)[:40], 1 / 30)])
def test_each_frame_is_shown_in_its_own_share_of_the_time(pauses):
    """Long frames at either end and between, a rate that changes, and frames lost at random."""
    edges = np.append(0, np.cumsum([1 / 30 + pauses.get(i, 0.0) for i in range(300)]))
    video = SimpleNamespace(num_frames=300, frame_starts=edges[:-1], duration=edges[-1])
    inds = sample(SampleClipFrames(mode='middle'), video=video)['frame_inds']
    shares = np.linspace(0, edges[-1], 13)
    assert (edges[inds] < shares[1:]).all() and (edges[inds + 1] > shares[:-1]).all()


def test_spacing_can_be_chosen():
    by_index = sample(SampleClipFrames(mode='middle', spacing='index'), video=VARYING)
    assert by_index['frame_spacing'] == 'index'
    assert by_index['frame_inds'].tolist() == middle_frames(0, 78, 12).tolist()
    by_time = sample(SampleClipFrames(num_frames=4, mode='middle', spacing='time'))
    assert by_time['frame_spacing'] == 'time'
    assert by_time['frame_inds'].tolist() == [12, 37, 62, 87]


def test_the_rate_counts_within_the_part():
    part = sample(SampleClipFrames(num_frames=3, mode='middle'), video=VARYING, start=1.0)
    assert part['frame_spacing'] == 'index'
    assert part['frame_inds'].tolist() == middle_frames(60, 78, 3).tolist()
    both = sample(SampleClipFrames(num_frames=3, mode='middle'), video=VARYING, start=0.5, end=3.5)
    assert both['frame_spacing'] == 'time'
    assert VARYING_STARTS[both['frame_inds']].tolist() == [1.0, 2.0, 3.0]


def test_several_clips_in_time():
    results = sample(SampleClipFrames(num_frames=2, mode='middle', num_clips=2), video=VARYING)
    assert VARYING_STARTS[results['frame_inds']].tolist() == [1.0, 6.0, 3.5, 8.5]
    assert results['num_views'] == 2 and results['num_frames'] == 4


def test_a_long_frame_is_shown_as_often_as_it_is_seen():
    still = SimpleNamespace(
        num_frames=4, frame_starts=np.array([0.0, 0.1, 0.2, 9.0]), duration=10.0)
    results = sample(SampleClipFrames(num_frames=5, mode='middle'), video=still)
    assert results['frame_inds'].tolist() == [2, 2, 2, 2, 3]


def test_frames_a_second():
    transform = SampleClipFrames(num_frames=4, mode='middle', fps=2)
    for video in (VIDEO, VARYING):
        results = sample(transform, video=video)
        assert results['frame_spacing'] == 'fps'
        times = np.array([4.25, 4.75, 5.25, 5.75])
        shown = video.frame_starts[results['frame_inds']]
        assert (shown <= times).all() and (shown > times - 0.5).all()
    starts = {int(sample(SampleClipFrames(num_frames=4, fps=2), seed)['frame_inds'][0])
              for seed in range(1500)}
    assert starts == set(range(2, 83))


def test_frames_a_second_of_a_part_that_is_too_short():
    transform = SampleClipFrames(num_frames=8, mode='middle', fps=2)
    results = sample(transform, start=2.0, end=4.0)
    assert results['frame_inds'].tolist() == [22, 27, 32, 37]
    assert results['num_frames'] == 8
    assert sample(transform, start=2.0, end=2.1)['frame_inds'].tolist() == [20]
    several = SampleClipFrames(num_frames=4, mode='middle', fps=2, num_clips=2)
    assert sample(several, start=2.0, end=3.0)['frame_inds'].tolist() == 2 * [22, 27]


def test_from_the_first_to_the_last_frame_as_the_feature_script():
    transform = SampleClipFrames(mode='ends')
    for video in (VIDEO, VARYING):
        results = sample(transform, video=video)
        expected = np.linspace(0, video.num_frames - 1, 12).astype(int)
        assert results['frame_inds'].tolist() == expected.tolist()
        assert results['frame_spacing'] == 'index'


def test_clips_of_some_seconds_lie_from_the_start_to_the_end():
    """VIDEO has 10 frames a second, for 10 s; a part may be shorter than a clip."""
    transform = SampleClipFrames(num_frames=2, mode='ends', clip_seconds=2.0, num_clips=3)
    results = sample(transform)
    assert results['frame_inds'].tolist() == [0, 19, 40, 59, 80, 99]
    assert (results['num_views'], results['num_frames']) == (3, 6)
    assert sample(transform, start=5.0, end=8.0)['frame_inds'].tolist() == [50, 69, 55, 74, 60, 79]
    assert sample(transform, start=5.0, end=6.0)['frame_inds'].tolist() == 3 * [50, 59]
    varying = sample(transform, video=VARYING)['frame_inds'].reshape(3, 2)
    starts = VARYING.frame_starts
    assert (starts[varying[:, 1]] - starts[varying[:, 0]] < 2).all() and varying[2, 1] == len(
        starts) - 1


def frames_of(frames, num_frames=4, video=VIDEO, **kwargs):
    results = sample(SampleClipFrames(num_frames=num_frames, mode='middle', frames=frames,
                                      **kwargs.pop('options', {})), video=video, **kwargs)
    return results['frame_inds'].tolist(), results['num_frames']


def test_frames_otherwise_than_in_order():
    natural = [12, 37, 62, 87]
    assert frames_of('natural') == (natural, 4)
    assert frames_of('reversed') == (natural[::-1], 4)
    assert frames_of('single') == ([37], 1)
    assert frames_of('constant') == (4 * [37], 4)
    shuffled, number = frames_of('shuffled')
    assert sorted(shuffled) == natural and shuffled != natural and number == 4


def test_the_order_comes_from_the_name_and_the_seed_alone():
    """Neither from the place in the data set, nor from where that lies."""
    def order(name='a/b.mp4', seed=0, **kwargs):
        return frames_of('shuffled', 12, sample_id=name, options=dict(frames_seed=seed),
                         **kwargs)[0]

    assert order() == order(rng=np.random.default_rng(5)) == order('./a/b.mp4')
    assert order() == frames_of('shuffled', 12, sample_id='a/b.mp4', filename='x/a/b.mp4')[0]
    assert len({tuple(order(name, seed)) for name in ('a/b.mp4', 'c.mp4', 'a/c.mp4')
                for seed in range(3)}) == 9
    # Told by a kept value: the same on every machine, in every process.
    assert order()[:5] == [86, 11, 61, 70, 20]
    # Without a name in the data set, the file's own.
    assert (frames_of('shuffled', 12, filename='here/c.mp4')
            == frames_of('shuffled', 12, filename='there/c.mp4'))


def test_shuffled_is_never_in_order_where_there_is_another():
    def orders(video, num_frames):
        return {tuple(frames_of('shuffled', num_frames, video, sample_id=str(name))[0])
                for name in range(40)}

    assert orders(VIDEO, 2) == {(74, 24)}
    assert len(orders(VIDEO, 3)) == 5
    assert orders(VIDEO, 1) == {(49, )}
    # A long frame that comes four times: only the places of the other one differ.
    still = SimpleNamespace(
        num_frames=4, frame_starts=np.array([0.0, 0.1, 0.2, 9.0]), duration=10.0)
    assert len(orders(still, 5)) == 4 and (2, 2, 2, 2, 3) not in orders(still, 5)


def test_each_clip_is_taken_alone():
    options = dict(num_clips=2)
    natural = np.reshape(frames_of('natural', options=options)[0], (2, 4))
    assert frames_of('reversed', options=options)[0] == natural[:, ::-1].ravel().tolist()
    assert frames_of('single', options=options) == (natural[:, 1].tolist(), 2)
    shuffled = np.reshape(frames_of('shuffled', options=options)[0], (2, 4))
    assert (np.sort(shuffled) == natural).all() and (shuffled != natural).any(axis=1).all()
    spread = dict(clip_seconds=2.0, num_clips=3)
    ends = SampleClipFrames(num_frames=2, mode='ends', frames='reversed', **spread)
    assert sample(ends)['frame_inds'].tolist() == [19, 0, 59, 40, 99, 80]


def test_frames_in_time_and_a_second_otherwise():
    natural, _ = frames_of('natural', 12, VARYING)
    assert frames_of('reversed', 12, VARYING)[0] == natural[::-1]
    assert frames_of('constant', 12, VARYING)[0] == 12 * [natural[5]]
    assert frames_of('reversed', 4, options=dict(fps=2))[0] == frames_of(
        'natural', 4, options=dict(fps=2))[0][::-1]


class NumberedFrames(SimpleNamespace):
    """A video whose frames are their numbers."""

    def get_frames(self, indices):
        return np.broadcast_to(np.asarray(indices, np.uint8)[:, None, None, None], (
            len(indices), 1, 1, 3))

    def close(self):
        pass


@pytest.mark.parametrize(('frames', 'shown'), [
    ('natural', [1, 2, 3, 3, 3]), ('reversed', [3, 2, 1, 1, 1]), ('constant', [2, 2, 2, 2, 2]),
    ('single', [2])])
@pytest.mark.parametrize('short_clip', ['repeat_last', 'black'])
def test_a_video_of_few_frames_is_filled_as_ever(frames, shown, short_clip):
    video = NumberedFrames(num_frames=4, frame_starts=np.arange(4) / 10, duration=0.4)
    results = sample(SampleClipFrames(num_frames=5, mode='middle', frames=frames), video=video,
                     start=0.1)
    results = DecodeClip(short_clip=short_clip).transform(results)
    black = short_clip == 'black' and frames != 'single'
    assert results['imgs'][:, 0, 0, 0].tolist() == ([*shown[:3], 0, 0] if black else shown)
    assert results['num_valid_frames'] == (3 if black else len(shown))


def test_what_a_sampler_of_mmaction2_chose():
    def show(frames, seed=0):
        results = ShowFrames(frames=frames, frames_seed=seed).transform(dict(
            filename='x/a.mp4', frame_inds=np.arange(8), num_clips=2, clip_len=4))
        return results['frame_inds'].tolist(), results['clip_len']

    assert show('reversed') == ([3, 2, 1, 0, 7, 6, 5, 4], 4)
    assert show('single') == ([1, 5], 1)
    shuffled, _ = show('shuffled')
    assert sorted(shuffled[:4]) == [0, 1, 2, 3] and shuffled != list(range(8))
    assert shuffled != show('shuffled', 1)[0]
    with pytest.raises(ValueError, match='frames must be one of'):
        ShowFrames(frames='even')


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(clip_seconds=2), "in mode 'ends'"), (dict(mode='ends', clip_seconds=0), 'positive'),
    (dict(mode='ends', num_clips=2), 'with clip_seconds'),
    (dict(spacing='even'), "'auto', 'index', 'time'"), (dict(fps=0), 'fps'),
    (dict(fps=float('nan')), 'fps must be'), (dict(fps=float('inf')), 'fps must be'),
    (dict(fps=2, spacing='time'), 'spacing'), (dict(mode='ends', fps=2), 'ends'),
    (dict(frames='even'), "'natural', 'shuffled'"), (dict(frames_seed=-1), 'frames_seed'),
    (dict(frames='shuffled', frames_seed=None), 'whole number'),
    (dict(num_frames=0), 'num_frames'), (dict(mode='uniform'), "'random', 'middle'"),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SampleClipFrames(**kwargs)
