from pathlib import Path

import numpy as np
import pytest

from tests.grey_videos import cut_start, numbers_of, write_grey_video
from tvtsv2_mm.video.errors import UnreadableVideoError
from tvtsv2_mm.video.frame_scaling import FrameScaling
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.pyav_reader import PyAVReader
from tvtsv2_mm.video.sequential_reader import SequentialReader
from tvtsv2_mm.video.source import VideoSource

VIDEOS = Path(__file__).parents[1] / 'data/videos'


def open_sequentially(path, short_side=None):
    return SequentialReader(VideoSource(path), scaling=FrameScaling(short_side=short_side))


@pytest.fixture(scope='module')
def grey_video(tmp_path_factory):
    return write_grey_video(tmp_path_factory.mktemp('videos') / 'grey.mp4')


def test_a_real_clip():
    video = open_video(str(VIDEOS / 'part_0.mp4'), short_side=64)
    assert isinstance(video, PyAVReader)
    assert (video.num_frames, round(video.fps)) == (32, 30)
    assert video.size == (64, 85)
    frames = video.get_frames([0, 31, 5])
    assert frames.shape == (3, 64, 85, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 20


def test_size_of_the_file_where_none_is_asked_for():
    video = open_video(str(VIDEOS / 'part_0.mp4'))
    assert video.get_frames([3]).shape == (1, 256, 340, 3)


@pytest.mark.parametrize('opener', [open_video, open_sequentially])
def test_frames_by_index_in_any_order_and_repeated(grey_video, opener):
    video = opener(grey_video)
    assert video.num_frames == 40
    assert numbers_of(video.get_frames([39, 0, 12, 12, 11])) == [39, 0, 12, 12, 11]
    assert numbers_of(video.get_frames(np.arange(40))) == list(range(40))


@pytest.mark.parametrize('name', ['part_0.mp4', 'example.mp4', 'rotated_90.mov'])
def test_both_readers_give_the_same(name):
    path = str(VIDEOS / name)
    fast, slow = open_video(path, short_side=96), open_sequentially(path, short_side=96)
    assert isinstance(fast, PyAVReader)
    assert fast.num_frames == slow.num_frames
    assert fast.size == slow.size
    np.testing.assert_allclose(fast.frame_starts, slow.frame_starts, atol=1e-4)
    assert fast.duration == pytest.approx(slow.duration, abs=0.05)
    indices = [0, 2, 1] if fast.num_frames == 3 else [0, 17, 9, 28]
    difference = np.abs(fast.get_frames(indices).astype(int) - slow.get_frames(indices))
    # Two builds of FFmpeg scale and convert; a wrong frame or a missing turn differs by far more.
    assert difference.mean() < 4


def test_rotation_is_applied_and_the_short_side_is_that_of_the_turned_picture():
    video = open_video(str(VIDEOS / 'rotated_90.mov'), short_side=160)
    assert video.size == (284, 160)
    assert video.get_frames([0]).shape == (1, 284, 160, 3)


def test_seconds_of_a_variable_frame_rate(tmp_path):
    times = [0.0, 0.1, 0.2, 1.7, 1.8, 4.0, 4.5, 4.6]
    path = write_grey_video(tmp_path / 'vfr.mp4', num_frames=8, times=times)
    for video in (open_video(path), open_sequentially(path)):
        np.testing.assert_allclose(video.frame_starts, times, atol=1e-3)
        assert numbers_of(video.get_frames([3, 5])) == [3, 5]


@pytest.mark.parametrize(('codec', 'codec_options'), [
    ('mpeg4', {'bf': '0'}), ('mpeg4', {'bf': '2'}),
    ('libx264', {'bf': '3', 'b-pyramid': 'normal'})])
def test_pauses_in_avi_are_empty_chunks(tmp_path, codec, codec_options):
    times = np.concatenate([np.arange(9), np.arange(20, 31), [34, 35, 36, 50, 51, 52, 53]]) / 10
    path = write_grey_video(tmp_path / 'pauses.avi', codec=codec, codec_options=codec_options,
                            num_frames=len(times), times=times.tolist(), ticks=10)
    video = open_video(path)
    np.testing.assert_allclose(video.frame_starts, times, atol=1e-6)
    assert video.duration == pytest.approx(5.4)
    assert numbers_of(video.get_frames(np.arange(len(times)))) == list(range(len(times)))


@pytest.mark.parametrize('backend', ['auto', 'decord'])
@pytest.mark.parametrize('suffix', ['.mp4', '.mkv', '.avi'])
def test_frames_a_second_are_the_mean_over_all_frames(tmp_path, suffix, backend):
    times = np.concatenate([np.arange(30) / 30, 1 + np.arange(9) / 2, 5.5 + np.arange(3) / 30])
    path = write_grey_video(tmp_path / f'slower{suffix}', num_frames=42, fps=30,
                            times=times.tolist(), ticks=30)
    assert open_video(path, backend=backend).fps == pytest.approx(42 / 5.6, rel=0.05)
    constant = write_grey_video(tmp_path / f'constant{suffix}', fps=30)
    assert open_video(constant, backend=backend).fps == 30


@pytest.mark.parametrize('seconds', [0.4, 0.7])
def test_frames_hidden_by_an_edit_list_do_not_exist(grey_video, tmp_path, seconds):
    video = open_video(cut_start(grey_video, tmp_path / 'cut.mp4', seconds))
    hidden = round(seconds * 10)
    assert isinstance(video, PyAVReader)
    assert video.num_frames == 40 - hidden
    assert video.frame_starts[0] == pytest.approx(0, abs=1e-3)
    # One by one (each seeks), scattered, and all in a row.
    for i in (0, 1, 9 - hidden, 10 - hidden, 25 - hidden, 39 - hidden):
        assert numbers_of(video.get_frames([i])) == [i + hidden]
    assert numbers_of(video.get_frames([0, 11, 30 - hidden])) == [hidden, 11 + hidden, 30]
    every = np.arange(video.num_frames)
    assert numbers_of(video.get_frames(every)) == (every + hidden).tolist()


def test_more_hidden_frames_than_a_group_has(grey_video, tmp_path):
    video = open_video(cut_start(grey_video, tmp_path / 'cut.mp4', 1.4))
    assert numbers_of(video.get_frames([0, 3, 20])) == [14, 17, 34]


def test_frames_behind_an_edit_list_are_no_sign_of_a_cut_file(grey_video, tmp_path):
    data = bytearray(Path(grey_video).read_bytes())
    place = data.index(b'elst') + 12
    milliseconds = int.from_bytes(data[place:place + 4], 'big')
    data[place:place + 4] = (milliseconds // 2).to_bytes(4, 'big')
    (tmp_path / 'edited.mp4').write_bytes(data)
    video = open_video(str(tmp_path / 'edited.mp4'))
    assert isinstance(video, PyAVReader)
    assert numbers_of(video.get_frames(np.arange(video.num_frames)))[:20] == list(range(20))
    assert video.num_frames < 25


@pytest.mark.parametrize(('name', 'codec'), [
    ('old.mpg', 'mpeg1video'), ('old.avi', 'mpeg4'), ('small.webm', 'libvpx-vp9'),
    ('some.mkv', 'libx264'), ('stream.ts', 'libx264'),
])
def test_frames_of_other_containers(tmp_path, name, codec):
    path = write_grey_video(tmp_path / name, codec=codec, fps=25)
    video = open_video(path)
    assert video.num_frames == 40
    assert numbers_of(video.get_frames([1, 14, 38])) == [1, 14, 38]
    assert numbers_of(open_video(path).get_frames([22])) == [22]
    np.testing.assert_allclose(np.diff(video.frame_starts), 1 / 25, atol=2e-3)


def test_pictures_that_change_their_size(tmp_path):
    """Streams of two sizes behind each other, as recordings of television have them."""
    parts = [write_grey_video(tmp_path / f'{rows}.mpg', codec='mpeg2video', fps=25, size=size,
                              num_frames=20) for rows, size in enumerate([(64, 64), (80, 96)])]
    path = tmp_path / 'both.mpg'
    path.write_bytes(b''.join(Path(part).read_bytes() for part in parts))
    for short_side in (None, 32):
        video = open_video(str(path), short_side=short_side)
        assert video.size == (short_side or 64, ) * 2
        assert numbers_of(video.get_frames([0, video.num_frames - 1])) == [0, 19]


def test_files_that_are_no_videos(tmp_path):
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'text.mp4').write_text('hello, I am no video\n' * 50)
    cases = {
        'missing.mp4': 'there is no such file',
        'empty.mp4': 'the file is empty',
        'text.mp4': 'it cannot be opened as a video',
    }
    for name, reason in cases.items():
        with pytest.raises(UnreadableVideoError, match=reason) as caught:
            open_video(str(tmp_path / name))
        assert caught.value.path == str(tmp_path / name)
        assert str(caught.value).startswith(f'{tmp_path / name}: ')


def test_sound_only(tmp_path):
    import av
    path = tmp_path / 'sound.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=16000)
        samples = np.zeros((1, 1024), np.float32)
        for i in range(4):
            frame = av.AudioFrame.from_ndarray(samples, format='fltp', layout='mono')
            frame.sample_rate, frame.pts = 16000, 1024 * i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UnreadableVideoError, match='no video stream, only audio'):
        open_video(str(path))


def test_a_file_cut_before_its_index_cannot_be_opened(tmp_path):
    path = tmp_path / 'truncated.mp4'
    path.write_bytes((VIDEOS / 'example.mp4').read_bytes()[:30000])
    with pytest.raises(UnreadableVideoError, match='it cannot be opened as a video'):
        open_video(str(path))


def test_a_cut_file_with_its_index_in_front_gives_no_frame_for_another(tmp_path):
    whole = write_grey_video(tmp_path / 'whole.mp4', size=(128, 128),
                             options={'movflags': 'faststart'})
    data = Path(whole).read_bytes()
    path = tmp_path / 'truncated.mp4'
    path.write_bytes(data[:len(data) * 3 // 4])
    with pytest.raises(UnreadableVideoError, match='damaged'):
        open_video(str(path)).get_frames(np.arange(40))


def test_noise_in_the_stream(tmp_path):
    data = bytearray((VIDEOS / 'part_0.mp4').read_bytes())
    rng = np.random.default_rng(0)
    places = rng.integers(2000, len(data) - 4000, 1000)
    for place in places:
        data[place] ^= 255
    path = tmp_path / 'noisy.mp4'
    path.write_bytes(data)
    with pytest.raises(UnreadableVideoError, match='damaged'):
        open_video(str(path)).get_frames(np.arange(32))
