import io
import shutil
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.grey_videos import write_grey_video
from tests.tiny_model import VIDEOS
from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig, encode_part
from tvtsv2_mm.video.errors import UnreadableVideoError
from tvtsv2_mm.video.opening import open_video


def write_video(path, times, size=(64, 96)):
    """Frames whose grey value tells their number, at the given seconds; one key frame."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25, options={'g': '1000', 'crf': '10'})
        stream.height, stream.width, stream.pix_fmt = *size, 'yuv420p'
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(
                np.full((*size, 3), 20 + number % 200, np.uint8), 'rgb24')
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def key_times(data):
    with av.open(io.BytesIO(data)) as container:
        return [float(packet.pts * packet.time_base) for packet in container.demux(video=0)
                if packet.is_keyframe and packet.pts is not None]


def check(path, part, start, end, tolerance):
    """The part has the frames of the source that begin in it, at the same distances in time."""
    source, cut = open_video(path), open_video('part', data=part.data)
    half = 0.5 / source.fps
    inds = np.flatnonzero((source.frame_starts >= start - half)
                          & (source.frame_starts < end - half))
    np.testing.assert_allclose(cut.frame_starts + part.start, source.frame_starts[inds], atol=2e-3)
    assert part.start == pytest.approx(source.frame_starts[inds[0]], abs=2e-3)
    chosen = np.linspace(0, len(inds) - 1, 6).astype(int)
    source = open_video(path, short_side=min(cut.size), interpolation='fast')
    there, here = source.get_frames(inds[chosen]).astype(int), cut.get_frames(chosen).astype(int)
    height, width = np.minimum(there.shape[1:3], here.shape[1:3])
    error = np.abs(there[:, :height, :width] - here[:, :height, :width]).mean((1, 2, 3))
    assert error.max() < tolerance
    return cut


@pytest.mark.parametrize('key_seconds', [1.0, 0.5])
def test_frames_times_and_key_frames(tmp_path, key_seconds):
    path = write_video(tmp_path / 'a.mp4', np.arange(300) / 29.97)
    part = encode_part(path, 2.5, 8.1, EncodingConfig(key_seconds=key_seconds, crf=15))
    check(path, part, 2.5, 8.1, 1.5)
    keys = key_times(part.data)
    assert keys[0] == 0
    assert key_seconds * 0.9 < np.diff(keys).max() <= key_seconds + 1e-4


def test_variable_frame_rate(tmp_path):
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.15, 200))
    path = write_video(tmp_path / 'a.mp4', times - times[0])
    part = encode_part(path, 3.0, 9.0, EncodingConfig(crf=15))
    check(path, part, 3.0, 9.0, 1.5)
    assert np.diff(key_times(part.data)).max() <= 1.0 + 1e-4


def test_pauses_of_an_avi_with_reordered_frames(tmp_path):
    times = np.concatenate([np.arange(9), np.arange(20, 31)]) / 10
    path = write_grey_video(tmp_path / 'pauses.avi', codec='mpeg4', codec_options={'bf': '2'},
                            num_frames=20, times=times.tolist(), ticks=10)
    part = encode_part(path, 0.5, 2.5, EncodingConfig(crf=15))
    check(path, part, 0.5, 2.5, 1.5)
    assert (part.start, part.end) == pytest.approx((0.5, 2.5))
    # The last frame stands until the next one comes.
    part = encode_part(path, 0.5, 1.5, EncodingConfig())
    assert part.end == pytest.approx(2.0)
    assert open_video('', data=part.data).duration == pytest.approx(1.5)


@pytest.mark.parametrize('name', ['example.mp4', 'grid_swwp2s.mpg', 'part_0.mp4',
                                  'rotated_90.mov'])
def test_real_videos(name):
    path = str(VIDEOS / name)
    duration = open_video(path).duration
    start, end = 0.3 * duration, 0.8 * duration
    check(path, encode_part(path, start, end, EncodingConfig(short_side=144)), start, end, 8)


def test_the_size(tmp_path):
    large = write_video(tmp_path / 'large.mp4', np.arange(5) / 25, size=(722, 400))
    assert open_video('', data=encode_part(large, 0, 9, EncodingConfig()).data).size == (520, 288)
    small = write_video(tmp_path / 'small.mp4', np.arange(5) / 25)
    assert open_video('', data=encode_part(small, 0, 9, EncodingConfig()).data).size == (64, 96)
    wide = write_grey_video(tmp_path / 'wide.mp4', pixel_aspect=Fraction(4, 3))
    data = encode_part(wide, 0, 9, EncodingConfig(short_side=48)).data
    assert open_video('', data=data).size == (48, 48)
    assert open_video('', data=data, square_pixels=True).size == (48, 64)


def test_what_cannot_be_encoded(tmp_path):
    path = write_video(tmp_path / 'a.mp4', np.arange(50) / 25)
    with pytest.raises(UnusableSampleError, match=r'no frame in its seconds 3\.00 to 5\.00'):
        encode_part(path, 3.0, 5.0, EncodingConfig())
    shutil.copy(path, tmp_path / 'cut.mp4')
    with open(tmp_path / 'cut.mp4', 'r+b') as file:
        file.truncate(900)
    with pytest.raises(UnreadableVideoError):
        encode_part(str(tmp_path / 'cut.mp4'), 0, 5, EncodingConfig())
    with pytest.raises(ValueError, match='key_seconds positive'):
        EncodingConfig(key_seconds=0)
