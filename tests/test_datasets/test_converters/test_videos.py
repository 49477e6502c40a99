import pytest

from tvtsv2_mm.datasets.converters.report import DropRecord
from tvtsv2_mm.datasets.converters.videos import VideoIndex, probe_duration


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


def test_durations(videos, tmp_path):
    assert probe_duration(videos('a.mp4') / 'a.mp4') == 2.5
    (tmp_path / 'bad.mp4').write_bytes(b'not a video')
    with pytest.raises(DropRecord, match='cannot be opened'):
        probe_duration(tmp_path / 'bad.mp4')
