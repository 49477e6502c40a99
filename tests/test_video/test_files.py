import os
from itertools import chain

import pytest

from tvtsv2_mm.apis.clips import list_videos
from tvtsv2_mm.preparation.converters.videos import VideoIndex
from tvtsv2_mm.video.errors import UnreadableVideoError
from tvtsv2_mm.video.files import VIDEO_SUFFIXES, printable, walk_videos


def test_one_list_of_endings_for_all(tmp_path):
    for suffix in VIDEO_SUFFIXES:
        (tmp_path / f'v{suffix}').touch()
        (tmp_path / f'V{suffix.upper()}').touch()
    for name in ('a.txt', 'mp4', '._v.mp4', '.mp4', 'a.mp4.part'):
        (tmp_path / name).touch()
    expected = {f'v{s}' for s in VIDEO_SUFFIXES} | {f'V{s.upper()}' for s in VIDEO_SUFFIXES}
    assert set(list_videos(str(tmp_path))) == set(walk_videos(str(tmp_path))) == expected
    assert len(VideoIndex(tmp_path)._by_stem['v']) == len(VIDEO_SUFFIXES)
    assert {'.gif', '.ogv', '.vob', '.3g2', '.mts', '.'} <= VIDEO_SUFFIXES


def test_links_are_followed_once(tmp_path):
    elsewhere = tmp_path / 'elsewhere'
    for folder in (elsewhere / 'deep', tmp_path / 'root/z', tmp_path / 'root/.hidden'):
        folder.mkdir(parents=True)
        (folder / 'x.mp4').touch()
    root = tmp_path / 'root'
    os.symlink('.', root / 'loop')
    os.symlink('../..', root / 'z/loop')
    os.symlink('z', root / 'a')  # found by its own name, not by that of the link before it
    os.symlink('../elsewhere', root / 'other')
    os.symlink('../../root', elsewhere / 'deep/back')
    os.symlink('self.mp4', root / 'self.mp4')  # a link to itself is a file that cannot be read
    os.symlink('nowhere', root / 'gone.mp4')
    os.symlink('z/x.mp4', root / 'one.mp4')
    expected = ['gone.mp4', 'one.mp4', 'other/deep/x.mp4', 'self.mp4', 'z/x.mp4']
    assert list_videos(str(root)) == expected
    assert sorted(chain.from_iterable(VideoIndex(root)._by_stem.values())) == expected


def test_names_that_are_not_utf8_can_be_shown():
    name = os.fsdecode(b'caf\xe9.mp4')
    assert printable(name) == r'caf\udce9.mp4'
    assert printable('日本.mp4') == '日本.mp4'
    assert str(UnreadableVideoError(name, 'no video')).encode() == rb'caf\udce9.mp4: no video'


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='none'):
        list(walk_videos(str(tmp_path / 'none')))
