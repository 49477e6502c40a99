"""What is opened at all: containers of videos, and no name for an address."""

import os
import shutil
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.grey_videos import numbers_of, write_grey_video
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig, encode_part
from tvtsv2_mm.video import header
from tvtsv2_mm.video.errors import SampleError, UnreadableVideoError
from tvtsv2_mm.video.header import open_stream
from tvtsv2_mm.video.isolated_reader import DecodingProcess
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.orientation import Orientation
from tvtsv2_mm.video.source import VideoSource

PLAYLISTS = {
    'concat': 'ffconcat version 1.0\nfile secret.mp4\n',
    'concat with options': 'ffconcat version 1.0\nfile secret.mp4\noption safe 0\nduration 1\n',
    'hls': '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp4\n#EXT-X-ENDLIST\n',
    'sdp': 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n'
           'm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n',
    'dash': '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
            '<Period><BaseURL>secret.mp4</BaseURL></Period></MPD>',
    'vobsub': '# VobSub index file, v7\nid: en, index: 0\n'
              'timestamp: 00:00:00:000, filepos: 000000000\n',
    'subtitles': '1\n00:00:01,000 --> 00:00:02,000\nhello\n',
    'ffmetadata': ';FFMETADATA1\ntitle=secret\n',
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a readable video that is named by others."""
    monkeypatch.chdir(tmp_path)
    write_grey_video(tmp_path / 'secret.mp4')
    return tmp_path


def opened_from_bytes(path, **options):
    return open_video('shard.tar/0.mp4', data=Path(path).read_bytes(), **options)


def isolated(path, **options):
    return DecodingProcess().open(path, deadline=30, **options)


def encoded(path):
    return encode_part(path, 0, 9, EncodingConfig())


def with_decord(path):
    return open_video(path, backend='decord')


OPENERS = [open_video, with_decord, opened_from_bytes, isolated, encoded]


@pytest.mark.parametrize('opener', OPENERS)
@pytest.mark.parametrize('suffix', ['.mp4', '.m3u8', '.ffconcat', '.ts'])
@pytest.mark.parametrize('kind', PLAYLISTS)
def test_a_text_that_names_other_files_is_no_video(folder, kind, suffix, opener):
    (folder / f'list{suffix}').write_text(PLAYLISTS[kind])
    with pytest.raises(UnreadableVideoError, match='it cannot be opened as a video'):
        opener(f'list{suffix}')


@pytest.mark.parametrize('opener', OPENERS)
def test_pictures_are_no_video_nor_are_sequences_of_them(folder, opener):
    for number in range(3):
        Image.new('RGB', (64, 64)).save(folder / f'{number}.png')
    shutil.copy('0.png', '%d.png')
    with pytest.raises(UnreadableVideoError, match=r'no container of a video, such as mp4, mkv'):
        opener('%d.png')


def with_frames_elsewhere(source: str, target: str) -> None:
    """A file without its frames: a record of QuickTime's alias says that they are in ``source``."""
    data = bytearray(Path(source).read_bytes())
    moov = data.index(b'moov') - 4
    data[48:moov] = bytes(moov - 48)
    name = os.path.abspath(source).encode()
    alias = (bytes(150) + struct.pack('>hh', 2, len(name)) + name + bytes(len(name) % 2)
             + struct.pack('>hh', -1, 0))
    place = data.index(b'url ') - 4
    data[place:place + 12] = struct.pack('>I4sI', 12 + len(alias), b'alis', 0) + alias
    for box in (b'moov', b'trak', b'mdia', b'minf', b'dinf', b'dref'):
        start = data.index(box) - 4
        size, = struct.unpack_from('>I', data, start)
        struct.pack_into('>I', data, start, size + len(alias))
    Path(target).write_bytes(data)


@pytest.mark.parametrize('opener', OPENERS)
def test_frames_in_another_file_are_not_fetched(folder, opener):
    with_frames_elsewhere('secret.mp4', 'hollow.mp4')
    with av.open('hollow.mp4', container_options=dict(
            enable_drefs='1', use_absolute_path='1')) as container:  # what FFmpeg can be told to do
        assert sum(1 for _ in container.decode(video=0)) == 40
    with pytest.raises(SampleError):
        opener('hollow.mp4').get_frames(np.arange(40))


@pytest.mark.parametrize('opener', OPENERS)
@pytest.mark.parametrize('name', [
    'intro:1.mp4', 'file:secret.mp4', 'concat:secret.mp4|secret.mp4', 'pipe:0.mp4', '-i.mp4',
    'subfile,,start,0,end,0,,:secret.mp4', 'http:a.mp4', 'a%d.mp4', 'cache:x.mp4', 'async:x.mp4',
    'data:text,a.mp4', 'lavfi:testsrc', ' a.mp4 ', 'a?b#c.mp4', 'caf\udce9.mp4', '日本.mp4'])
def test_any_name_is_that_of_a_file(folder, name, opener):
    os.rename('secret.mp4', name)
    video = opener(name)
    if opener is encoded:
        video = open_video('part', data=video.data)
    assert numbers_of(video.get_frames([3, 38])) == [3, 38]


@pytest.mark.parametrize('opener', OPENERS)
def test_a_title_need_not_be_utf_8(folder, opener):
    with av.open('secret.mp4') as old, av.open('titled.mp4', 'w') as new:
        new.metadata['title'] = 'a caf? on the corner'
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)
    data = Path('titled.mp4').read_bytes()
    assert data.count(b'caf?') == 1
    Path('titled.mp4').write_bytes(data.replace(b'caf?', b'caf\xe9'))
    video = opener('titled.mp4')
    if opener is encoded:
        video = open_video('part', data=video.data)
    assert numbers_of(video.get_frames([3, 38])) == [3, 38]


def test_an_enormous_picture_is_not_decoded(folder, monkeypatch):
    with open_stream(VideoSource('secret.mp4')) as opened:
        monkeypatch.setattr(header, 'MOST_PIXELS', 1000)
        with pytest.raises(UnreadableVideoError, match='its header gives a picture of 64x64 pix'):
            _ = opened.header
    # Where a stream says so itself, behind its header, the decoder stops.
    with open_stream(VideoSource('secret.mp4')) as opened:
        assert opened.stream.codec_context.options == {'max_pixels': '1000'}
        with pytest.raises(av.FFmpegError):
            list(opened.container.decode(opened.stream))


def test_whatever_decoding_raises_is_one_error(folder, monkeypatch):
    reader = open_video('secret.mp4')

    def fails(frame):
        raise TypeError('no matrix')

    monkeypatch.setattr(Orientation, 'of', fails)
    with pytest.raises(UnreadableVideoError, match='TypeError: no matrix'):
        reader.get_frames([0])
