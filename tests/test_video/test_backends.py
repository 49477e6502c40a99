"""All decoders give the same frames for an index."""

import os
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.grey_videos import cut_start, numbers_of, write_grey_video
from tvtsv2_mm.utils.extras import MissingPackageError
from tvtsv2_mm.video import packet_index
from tvtsv2_mm.video.errors import UnreadableVideoError
from tvtsv2_mm.video.frame_pixels import FramePixels
from tvtsv2_mm.video.frame_scaling import FrameScaling
from tvtsv2_mm.video.isolated_reader import DecodingProcess
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.pyav_reader import PyAVReader
from tvtsv2_mm.video.sequential_reader import SequentialReader
from tvtsv2_mm.video.source import VideoSource

VIDEOS = Path(__file__).parents[1] / 'data/videos'


BACKENDS = [
    'pyav',
    pytest.param('decord', marks=pytest.mark.skipif(
        find_spec('decord') is None, reason='decord is not installed')),
]


def isolated(path, **options):
    return DecodingProcess().open(path, deadline=30, **options)


@pytest.fixture(scope='module')
def kinds(tmp_path_factory):
    """Grey videos, whose frames tell their number, of many kinds: name -> path, first number."""
    folder = tmp_path_factory.mktemp('kinds')
    written = {
        'H.264': write_grey_video(folder / 'h264.mp4'),
        'one key frame': write_grey_video(
            folder / 'gop.mp4', gop=250, codec_options={'bf': '3', 'b-pyramid': 'normal'}),
        'open groups': write_grey_video(
            folder / 'open.mkv', gop=8, codec_options={'bf': '3', 'x264-params': 'open-gop=1'}),
        'HEVC': write_grey_video(folder / 'hevc.mp4', codec='libx265',
                                 codec_options={'x265-params': 'log-level=none'}),
        'VP9': write_grey_video(folder / 'vp9.webm', codec='libvpx-vp9'),
        'MPEG-4 in AVI': write_grey_video(folder / 'mpeg4.avi', codec='mpeg4', fps=25),
        'B frames in AVI': write_grey_video(folder / 'bframes.avi', codec='mpeg4', fps=25,
                                            codec_options={'bf': '2'}),
        'H.264 in AVI': write_grey_video(folder / 'h264.avi'),
        'MPEG-2': write_grey_video(folder / 'mpeg2.mpg', codec='mpeg2video', fps=25,
                                   codec_options={'bf': '2'}),
        'variable rate': write_grey_video(
            folder / 'vfr.mp4', times=np.cumsum([0.1, 0.3] * 20).tolist()),
        'one frame': write_grey_video(folder / 'one.mp4', num_frames=1),
    }
    kinds = {name: (path, 0) for name, path in written.items()}
    kinds['cut'] = cut_start(written['H.264'], folder / 'cut.mp4', 0.4), 4
    return kinds


KINDS = ('H.264', 'one key frame', 'open groups', 'HEVC', 'VP9', 'MPEG-4 in AVI',
         'B frames in AVI', 'H.264 in AVI', 'MPEG-2', 'variable rate', 'one frame', 'cut')


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('kind', KINDS)
def test_same_frames_for_the_same_indices(kinds, kind, backend):
    path, first = kinds[kind]
    video = open_video(path, backend=backend)
    every = np.arange(video.num_frames)
    assert first + video.num_frames == (1 if kind == 'one frame' else 40)
    assert numbers_of(video.get_frames(every)) == (first + every).tolist()
    # The same frames when they are wanted alone, where most others are left out.
    for i in every[::7]:
        assert numbers_of(video.get_frames([i])) == [first + i]
    reference = SequentialReader(VideoSource(path))
    np.testing.assert_allclose(video.frame_starts, reference.frame_starts, atol=2e-3)
    assert video.size == reference.size


@pytest.mark.parametrize('opener', [open_video, isolated])
@pytest.mark.parametrize('kind', KINDS)
def test_a_stream_of_frames_is_decoded_once(kinds, kind, opener, monkeypatch):
    path, _ = kinds[kind]
    written = []
    monkeypatch.setattr(FramePixels, 'write', watched(FramePixels.write, written))
    video = opener(path)
    for step in (1, 7):
        wanted = np.arange(0, video.num_frames, step)
        written.clear()
        blocks = list(video.stream_frames(wanted, 4))
        assert max(map(len, blocks)) <= 4
        np.testing.assert_array_equal(np.concatenate(blocks), video.get_frames(wanted))
        if opener is open_video:
            assert len(written) == 2 * len(wanted)  # once here, once by get_frames


def watched(function, calls):
    def call(*arguments):
        calls.append(arguments[1])
        return function(*arguments)
    return call


@pytest.mark.parametrize('name', ['part_0.mp4', 'example.mp4', 'rotated_90.mov'])
@pytest.mark.parametrize('interpolation', ['nearest', 'fast'])
def test_leaving_frames_out_changes_no_pixel(name, interpolation):
    path = str(VIDEOS / name)
    scaling = FrameScaling(short_side=96, interpolation=interpolation)
    full = SequentialReader(VideoSource(path), scaling=scaling)
    reference = full.get_frames(np.arange(full.num_frames))
    video = PyAVReader(VideoSource(path), scaling=scaling)
    for seed in range(5):
        wanted = np.random.default_rng(seed).integers(0, video.num_frames, 6)
        np.testing.assert_array_equal(video.get_frames(wanted), reference[wanted])


@pytest.mark.parametrize('kind', ['H.264', 'open groups', 'B frames in AVI'])
def test_a_file_too_large_to_keep_is_read_twice(kinds, kind, monkeypatch):
    monkeypatch.setattr(packet_index, 'MAX_KEPT_BYTES', 1000)
    monkeypatch.setattr('tvtsv2_mm.video.sequential_reader.MAX_KEPT_BYTES', 1000)
    video = open_video(kinds[kind][0])
    assert video._index.packets is None
    assert numbers_of(video.get_frames([39, 3, 21])) == [39, 3, 21]
    assert numbers_of(video.get_frames([17])) == [17]


@pytest.mark.parametrize('backend', BACKENDS)
def test_bytes_in_memory(backend):
    data = (VIDEOS / 'part_0.mp4').read_bytes()
    video = open_video('shard.tar/part_0.mp4', data=data, backend=backend, short_side=64)
    of_file = open_video(str(VIDEOS / 'part_0.mp4'), backend=backend, short_side=64)
    np.testing.assert_array_equal(video.get_frames([3, 20]), of_file.get_frames([3, 20]))
    with pytest.raises(UnreadableVideoError, match=r'^shard.tar/a.mp4: the file is empty'):
        open_video('shard.tar/a.mp4', data=b'', backend=backend)
    with pytest.raises(UnreadableVideoError, match=r'^shard.tar/a.mp4: it cannot be opened'):
        open_video('shard.tar/a.mp4', data=b'no video at all' * 99, backend=backend)


@pytest.mark.parametrize('opener', [open_video, isolated])
@pytest.mark.parametrize('name', ['part_0.mp4', 'grid_swwp2s.mpg'])
def test_an_open_video_does_not_go_to_another_process(name, opener):
    video = opener(str(VIDEOS / name), short_side=32)
    with pytest.raises(TypeError, match='cannot go to another process; send its path'):
        pickle.dumps(video)


def test_decord_that_is_missing_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'decord', None)
    with pytest.raises(MissingPackageError, match=r"\(decord2 .*backend='pyav'.* needs decord"):
        open_video(str(VIDEOS / 'part_0.mp4'), backend='decord')
    assert open_video(str(VIDEOS / 'part_0.mp4')).num_frames == 32


def resident_bytes():
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='reads /proc')
def test_no_memory_nor_file_is_left_behind(tmp_path):
    damaged = tmp_path / 'damaged.mp4'
    damaged.write_bytes((VIDEOS / 'part_0.mp4').read_bytes()[:60000])
    files = [VIDEOS / 'part_0.mp4', VIDEOS / 'rotated_90.mov', damaged]

    def open_often(times):
        for i in range(times):
            try:
                video = open_video(str(files[i % 3]), short_side=64)
            except UnreadableVideoError:
                continue
            video.get_frames([0])
            if i % 2:  # what is not closed goes with the reader
                video.close()

    open_often(100)
    memory, descriptors = resident_bytes(), len(os.listdir('/proc/self/fd'))
    open_often(400)
    # 400 leaked decoders of the smaller file alone would be 400 MB; 10,000 opens: docs/data.md.
    assert resident_bytes() - memory < 20 * 2**20
    assert len(os.listdir('/proc/self/fd')) <= descriptors + 1


@pytest.fixture(scope='module')
def odd(tmp_path_factory):
    """Files in which readers could differ: name -> path."""
    folder = tmp_path_factory.mktemp('odd')
    pauses = (np.concatenate([np.arange(9), np.arange(20, 31)]) / 10).tolist()
    paused = dict(num_frames=20, times=pauses, ticks=10)
    return {
        'pauses in AVI': write_grey_video(
            folder / 'a.avi', codec='mpeg4', codec_options={'bf': '2'}, **paused),
        'pauses': write_grey_video(folder / 'a.mp4', **paused),
        'no duration': write_grey_video(folder / 'a.webm', codec='libvpx', options={'live': '1'}),
        'no duration in mkv': write_grey_video(folder / 'a.mkv', options={'live': '1'}),
        'fragments': write_grey_video(
            folder / 'f.mp4', options={'movflags': 'frag_keyframe+empty_moov'}),
        '10 bits': write_grey_video(folder / '10.mp4', pixel_format='yuv420p10le'),
        'odd rows': write_grey_video(folder / 'odd.mkv', codec='ffv1', size=(63, 71)),
        'narrow': write_grey_video(folder / 'narrow.mp4', size=(64, 48)),
        'tiny': write_grey_video(folder / 'tiny.mp4', size=(2, 2)),
        'grey': write_grey_video(folder / 'grey.mp4', pixel_format='gray'),
        'gif': write_grey_video(folder / 'a.gif', codec='gif', pixel_format='rgb8'),
        'wmv': write_grey_video(folder / 'a.wmv', codec='wmv2'),
        'flv': write_grey_video(folder / 'a.flv', codec='flv'),
    }


ODD = ('pauses in AVI', 'pauses', 'no duration', 'no duration in mkv', 'fragments', '10 bits',
       'odd rows', 'narrow', 'tiny', 'grey', 'gif', 'wmv', 'flv')


@pytest.mark.parametrize('backend', ['decord', 'isolated'])
@pytest.mark.parametrize('name', [*ODD, *KINDS, *sorted(p.name for p in VIDEOS.iterdir())])
def test_all_readers_give_the_same_pixels_and_times(odd, kinds, name, backend):
    path = odd.get(name) or kinds.get(name, [str(VIDEOS / name)])[0]
    reference = open_video(path)
    video = isolated(path) if backend == 'isolated' else open_video(path, backend=backend)
    assert (video.num_frames, video.fps, video.duration, video.size) == (
        reference.num_frames, reference.fps, reference.duration, reference.size)
    np.testing.assert_array_equal(video.frame_starts, reference.frame_starts)
    chosen = np.unique(np.linspace(0, video.num_frames - 1, 12).astype(int))
    np.testing.assert_array_equal(video.get_frames(chosen), reference.get_frames(chosen))
    in_memory = open_video('shard.tar/0', data=Path(path).read_bytes())
    np.testing.assert_array_equal(in_memory.frame_starts, reference.frame_starts)


@pytest.mark.parametrize('opener', [open_video, isolated])
@pytest.mark.parametrize('name', ['H.264', 'VP9', 'B frames in AVI', 'MPEG-2', 'gif', 'cut'])
def test_damaged_bytes_give_frames_or_one_error(odd, kinds, tmp_path, name, opener):
    data = Path(odd.get(name) or kinds[name][0]).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        changed = bytearray(data)
        if number % 3 == 0:
            del changed[rng.integers(1, len(data)):]
        for place in rng.integers(0, len(changed), rng.integers(1, 40)):
            changed[place] = rng.integers(256)
        if number % 3 == 1:  # the header: sizes, rates, names of boxes
            for place in rng.integers(0, min(len(data), 600), 4):
                changed[place] ^= 1 << rng.integers(8)
        path = tmp_path / 'damaged.video'
        path.write_bytes(changed)
        try:
            video = opener(str(path), short_side=16)
            frames = video.get_frames([0, video.num_frames - 1])
            assert frames.shape == (2, *video.size, 3)
            assert len(video.frame_starts) == video.num_frames
            assert np.isfinite([video.fps, video.duration]).all()
            video.close()
        except UnreadableVideoError as error:
            assert str(error).startswith(str(path))
