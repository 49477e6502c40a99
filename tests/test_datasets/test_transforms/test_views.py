"""Multi-view tests: several clips, three crops."""

import numpy as np
import pytest

from tests.grey_videos import numbers_of, write_grey_video
from tvtsv2_mm.datasets.frame_indices import clip_frames, interval_edges
from tvtsv2_mm.datasets.transforms import CropClip, DecodeClip, OpenVideo, SampleClipFrames


def test_one_clip_is_the_middle_frames():
    for stop in (12, 13, 40, 301):
        edges = interval_edges(0, stop, 12)
        middle = (edges[:-1] + edges[1:] - 1) // 2
        assert clip_frames(0, stop, 12, 1).tolist() == [middle.tolist()]


def test_every_clip_stays_in_its_intervals():
    for stop in (12, 17, 40, 301):
        edges = interval_edges(0, stop, 12)
        clips = clip_frames(0, stop, 12, 5)
        assert (clips >= edges[:-1]).all() and (clips < edges[1:]).all()
        assert (np.diff(clips, axis=0) >= 0).all()


def test_clips_come_one_after_the_other(tmp_path):
    results = dict(filename=write_grey_video(tmp_path / 'grey.mp4', num_frames=30))
    for transform in (OpenVideo(), SampleClipFrames(num_frames=3, mode='middle', num_clips=2),
                      DecodeClip()):
        results = transform(results)
    assert numbers_of(results['imgs']) == [2, 12, 22, 7, 17, 27]
    assert results['num_views'] == 2 and results['num_valid_frames'] == 3


@pytest.mark.parametrize(('short_clip', 'numbers', 'num_valid'), [
    ('repeat_last', [0, 1, 1, 0, 1, 1], 3), ('black', [0, 1, 0, 0, 1, 0], 2)])
def test_a_short_video_is_filled_in_each_clip(tmp_path, short_clip, numbers, num_valid):
    results = dict(filename=write_grey_video(tmp_path / 'grey.mp4', num_frames=2))
    for transform in (OpenVideo(), SampleClipFrames(num_frames=3, mode='middle', num_clips=2),
                      DecodeClip(short_clip=short_clip), CropClip(size=48, mode='three')):
        results = transform(results)
    assert numbers_of(results['imgs']) == 3 * numbers[:3] + 3 * numbers[3:]
    assert results['num_valid_frames'] == num_valid and results['num_views'] == 6


@pytest.mark.parametrize('shape', [(2, 4, 9), (2, 9, 4)])
def test_three_crops_reach_both_ends_of_the_longer_side(shape):
    imgs = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    results = CropClip(size=4, mode='three')(dict(imgs=imgs, num_valid_frames=2))
    assert results['num_views'] == 3 and results['imgs'].shape == (6, 4, 4, 3)
    turned = imgs if shape[2] == 9 else imgs.transpose(0, 2, 1, 3)
    for place, own in zip((0, 2, 5), np.split(results['imgs'], 3), strict=True):
        own = own if shape[2] == 9 else own.transpose(0, 2, 1, 3)
        np.testing.assert_array_equal(own, turned[:, :, place:place + 4])


def test_views_are_clips_times_crops():
    imgs = np.zeros((4, 4, 6, 3), np.uint8)
    imgs[2:] = 1  # the second clip
    results = CropClip(size=4, mode='three')(dict(imgs=imgs, num_views=2, num_valid_frames=4))
    assert results['num_views'] == 6
    assert results['imgs'][:, 0, 0, 0].tolist() == [0] * 6 + [1] * 6


def test_errors():
    with pytest.raises(ValueError, match='num_clips'):
        SampleClipFrames(mode='random', num_clips=2)
