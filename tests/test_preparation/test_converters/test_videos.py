import av
import numpy as np
import pytest

from tests.grey_videos import write_grey_video
from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.preparation.converters.videos import VideoIndex, probe_duration
from tvtsv2_mm.video.opening import open_video


def test_found_by_name_in_any_layout(videos):
    index = VideoIndex(videos('top.mp4', 'a/b/deep.MKV', 'a/notes.txt'))
    assert index.find('top') == 'top.mp4'
    assert index.find('deep') == 'a/b/deep.MKV'
    with pytest.raises(DropRecord, match='no video file of its name'):
        index.find('notes')


def test_the_same_name_twice(videos):
    index = VideoIndex(videos('a/x.mp4', 'b/x.mp4', 'b/x.webm'))
    assert index.find('x', 'a') == 'a/x.mp4'
    for folder in ('', 'b'):
        with pytest.raises(DropRecord, match='several video files'):
            index.find('x', folder)


def test_missing_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no folder .*none'):
        VideoIndex(tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match='no video under'):
        VideoIndex(tmp_path)


def test_durations_are_those_of_the_readers(videos, tmp_path):
    assert probe_duration(videos('a.mp4') / 'a.mp4') == 2.5
    (tmp_path / 'bad.mp4').write_bytes(b'not a video')
    with pytest.raises(DropRecord, match='cannot be opened'):
        probe_duration(tmp_path / 'bad.mp4')
    with pytest.raises(DropRecord, match='not UTF-8'):
        probe_duration(tmp_path / 'caf\udce9.mp4')
    for name, codec, options in (('live.webm', 'libvpx', {'live': '1'}),
                                 ('live.mkv', 'libx264', {'live': '1'}), ('a.avi', 'mpeg4', {})):
        path = write_grey_video(tmp_path / name, num_frames=20, codec=codec,
                                options=options)
        assert probe_duration(path) == round(open_video(path).duration, 3)
        assert probe_duration(path) == pytest.approx(2, abs=0.01)


def test_sound_does_not_lengthen_a_video(tmp_path):
    path = tmp_path / 'sound_longer.mkv'
    with av.open(write_grey_video(tmp_path / 'silent.mp4', num_frames=20)) as silent, \
            av.open(str(path), 'w') as container:
        video = container.add_stream_from_template(silent.streams.video[0])
        sound = container.add_stream('pcm_s16le', rate=16000)  # aac begins before 0
        for packet in silent.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        for i in range(80):  # 5.12 s
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), 's16', 'mono')
            frame.sample_rate, frame.pts = 16000, 1024 * i
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    assert probe_duration(path) == pytest.approx(2, abs=0.1)  # sound begins before 0
