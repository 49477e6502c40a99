from pathlib import Path

import numpy as np
import pytest

from tests.grey_videos import numbers_of, write_grey_video
from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.transforms import DecodeClip, OpenVideo
from tvtsv2_mm.video.cache import DecodedVideo
from tvtsv2_mm.video.errors import UnreadableVideoError

VIDEOS = Path(__file__).parents[2] / 'data/videos'


@pytest.fixture
def grey_video(tmp_path):
    return write_grey_video(tmp_path / 'grey.mp4', num_frames=5)


def opened(path, **kwargs):
    return OpenVideo(**kwargs).transform({'filename': str(path)})


def test_open_video_at_the_wanted_size():
    results = opened(VIDEOS / 'example.mp4', short_side=96)
    assert results['total_frames'] == 50
    assert results['fps'] == pytest.approx(25)
    assert results['duration'] == pytest.approx(2.0)
    results.update(frame_inds=np.array([0, 20]), num_frames=2)
    results = DecodeClip().transform(results)
    assert results['imgs'].shape == (2, 96, 128, 3)
    assert results['imgs'].dtype == np.uint8
    assert results['num_valid_frames'] == 2
    assert 'video_reader' not in results


def test_the_duration_of_the_annotation_stays(grey_video):
    results = OpenVideo().transform({'filename': grey_video, 'duration': 7.0})
    assert results['duration'] == 7.0


def test_unreadable(tmp_path):
    with pytest.raises(UnreadableVideoError, match='there is no such file'):
        opened(tmp_path / 'missing.mp4')


def test_the_reader_is_closed(grey_video):
    results = opened(grey_video)
    reader = results['video_reader']
    DecodeClip().transform(results | dict(frame_inds=np.array([0]), num_frames=1))
    with pytest.raises(AttributeError):
        reader.get_frames([0])


def decode_short(path, policy):
    results = opened(path) | dict(frame_inds=np.array([0, 1, 4]), num_frames=6)
    return DecodeClip(short_clip=policy).transform(results)


def test_short_clip_repeats_its_last_frame(grey_video):
    results = decode_short(grey_video, 'repeat_last')
    assert numbers_of(results['imgs']) == [0, 1, 4, 4, 4, 4]
    assert results['num_valid_frames'] == 6


def test_short_clip_goes_black(grey_video):
    results = decode_short(grey_video, 'black')
    assert numbers_of(results['imgs']) == [0, 1, 4, 0, 0, 0]
    assert results['num_valid_frames'] == 3


def test_short_clip_is_an_error(grey_video):
    with pytest.raises(UnusableSampleError, match='3 frames where 6 are asked for'):
        decode_short(grey_video, 'error')


def test_cache_gives_the_same_frames_without_the_file(grey_video):
    transform = OpenVideo(short_side=32, cache_mb=1)
    first = transform.transform({'filename': grey_video})
    Path(grey_video).unlink()
    second = transform.transform({'filename': grey_video})
    assert isinstance(second['video_reader'], DecodedVideo)
    assert {key: first[key] for key in ('total_frames', 'fps', 'duration')} == {
        key: second[key] for key in ('total_frames', 'fps', 'duration')}
    second.update(frame_inds=np.array([3, 1]), num_frames=2)
    assert numbers_of(DecodeClip().transform(second)['imgs']) == [3, 1]


@pytest.mark.parametrize(('build', 'message'), [
    (lambda: OpenVideo(short_side=0), 'short_side'),
    (lambda: OpenVideo(num_threads=0), 'num_threads'),
    (lambda: OpenVideo(cache_mb=-1), 'cache_mb'),
    (lambda: OpenVideo(backend='torchcodec'),  # once there was one
     r"backend must be one of \('auto', 'pyav', 'decord'\), got 'torchcodec'"),
    (lambda: DecodeClip(short_clip='loop'), "'repeat_last', 'black', 'error'"),
])
def test_wrong_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
