import copy

import numpy as np
import pytest

from tests.grey_videos import numbers_of, write_grey_video
from tvtsv2_mm.video.cache import DecodedVideo, VideoCache
from tvtsv2_mm.video.opening import open_video

NUM_FRAMES, SIDE = 8, 32
VIDEO_BYTES = NUM_FRAMES * SIDE * SIDE * 3


@pytest.fixture
def paths(tmp_path):
    return [write_grey_video(tmp_path / f'{i}.mp4', num_frames=NUM_FRAMES) for i in range(3)]


def keep(cache, path):
    return cache.keep(open_video(path, short_side=SIDE))


def test_a_decoded_video_is_like_an_open_one(paths):
    reader = open_video(paths[0], short_side=SIDE)
    video = DecodedVideo(open_video(paths[0], short_side=SIDE))
    assert video.num_bytes == VIDEO_BYTES
    assert (video.num_frames, video.size, video.fps, video.duration, video.path) == (
        reader.num_frames, reader.size, reader.fps, reader.duration, reader.path)
    np.testing.assert_array_equal(video.frame_starts, reader.frame_starts)
    np.testing.assert_array_equal(video.get_frames([5, 2]), reader.get_frames([5, 2]))
    video.close()
    assert numbers_of(video.get_frames([5, 5])) == [5, 5]


def test_frames_given_out_are_copies(paths):
    video = keep(VideoCache(VIDEO_BYTES), paths[0])
    video.get_frames([1])[:] = 255
    assert numbers_of(video.get_frames([1])) == [1]


def test_the_least_recently_used_video_goes(paths):
    cache = VideoCache(2 * VIDEO_BYTES + 10)
    first, second = keep(cache, paths[0]), keep(cache, paths[1])
    assert cache.get(paths[0]) is first
    keep(cache, paths[2])
    assert cache.get(paths[1]) is None
    assert cache.get(paths[0]) is first
    assert len(cache) == 2
    assert cache.num_bytes == 2 * VIDEO_BYTES
    assert second.num_frames == NUM_FRAMES


def test_a_video_that_does_not_fit_is_read_as_ever(paths):
    cache = VideoCache(VIDEO_BYTES - 1)
    video = keep(cache, paths[0])
    assert not isinstance(video, DecodedVideo)
    assert numbers_of(video.get_frames([7])) == [7]
    assert len(cache) == 0


def test_frames_do_not_travel_to_other_processes(paths):
    cache = VideoCache(VIDEO_BYTES)
    keep(cache, paths[0])
    sent = copy.deepcopy(cache)
    assert (len(sent), sent.max_bytes, len(cache)) == (0, VIDEO_BYTES, 1)
