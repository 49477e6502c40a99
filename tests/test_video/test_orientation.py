"""Pictures that are to be turned or mirrored: four grey quarters show which way they lie."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from tests.grey_videos import write_grey_video
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig, encode_part
from tvtsv2_mm.video.opening import open_video

QUARTERS = [[0, 80], [160, 240]]
# a, b, c, d of the matrix, and how the quarters are shown.
ORIENTATIONS = {
    'as stored': ((1, 0, 0, 1), [[0, 80], [160, 240]]),
    'a quarter turn clockwise': ((0, 1, -1, 0), [[160, 0], [240, 80]]),
    'half a turn': ((-1, 0, 0, -1), [[240, 160], [80, 0]]),
    'a quarter turn back': ((0, -1, 1, 0), [[80, 240], [0, 160]]),
    'left and right swapped': ((-1, 0, 0, 1), [[80, 0], [240, 160]]),
    'upside down': ((1, 0, 0, -1), [[160, 240], [0, 80]]),
    'along the diagonal': ((0, 1, 1, 0), [[0, 160], [80, 240]]),
    'along the other diagonal': ((0, -1, -1, 0), [[240, 80], [160, 0]]),
    'nothing at all': ((0, 0, 0, 0), [[0, 80], [160, 240]]),
}


@pytest.fixture(scope='module')
def upright(tmp_path_factory):
    pixels = np.kron(np.array(QUARTERS, np.uint8)[..., None], np.ones((32, 48, 3), np.uint8))
    return write_grey_video(tmp_path_factory.mktemp('upright') / 'upright.mp4', num_frames=4,
                            size=(64, 96), pictures=[pixels] * 4)


def with_matrix(source: str, target: Path, matrix: tuple) -> str:
    """The file with another display matrix in its track header (version 0)."""
    a, b, c, d = (value << 16 for value in matrix)
    data = bytearray(Path(source).read_bytes())
    place = data.index(b'tkhd') + 44
    data[place:place + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)
    target.write_bytes(data)
    return str(target)


def with_own_turn(source: str, target: Path, options: str) -> str:
    """The file with the turn in the stream of H.264 itself."""
    with av.open(source) as old, av.open(str(target), 'w') as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        turning = BitStreamFilterContext(
            f'h264_metadata=display_orientation=insert:{options}', stream, copy)
        for packet in old.demux(stream):
            for turned in turning.filter(packet if packet.size else None):
                turned.stream = copy
                new.mux(turned)
    return str(target)


def quarters_of(frame: np.ndarray) -> np.ndarray:
    """Middle of each quarter, in tens."""
    height, width = frame.shape[:2]
    return np.rint(frame[height // 4::height // 2, width // 4::width // 2, 0] / 10) * 10


@pytest.mark.parametrize('backend', ['auto', 'decord'])
@pytest.mark.parametrize('short_side', [None, 40])
@pytest.mark.parametrize('name', ORIENTATIONS)
def test_eight_ways_to_lay_a_picture_down(upright, tmp_path, name, short_side, backend):
    matrix, expected = ORIENTATIONS[name]
    path = with_matrix(upright, tmp_path / 'turned.mp4', matrix)
    video = open_video(path, short_side=short_side, backend=backend)
    frame = video.get_frames([1])[0]
    assert frame.shape[:2] == video.size
    assert (frame.shape[0] > frame.shape[1]) == (matrix[0] == 0 and any(matrix))
    np.testing.assert_array_equal(quarters_of(frame), expected)


@pytest.mark.parametrize('backend', ['auto', 'decord'])
@pytest.mark.parametrize('suffix', ['.mp4', '.mkv', '.avi', '.ts'])
@pytest.mark.parametrize(('options', 'expected'), [
    ('rotate=270', [[160, 0], [240, 80]]), ('flip=horizontal', [[80, 0], [240, 160]])])
def test_a_turn_in_the_stream_itself(upright, tmp_path, suffix, options, expected, backend):
    path = with_own_turn(upright, tmp_path / f'turned{suffix}', options)
    frame = open_video(path, backend=backend).get_frames([2])[0]
    np.testing.assert_array_equal(quarters_of(frame), expected)


def test_shards_hold_pictures_as_they_are_shown(upright, tmp_path):
    videos = [(with_matrix(upright, tmp_path / f'{name}.mp4', matrix), expected)
              for name, (matrix, expected) in ORIENTATIONS.items()]
    videos.append((with_own_turn(upright, tmp_path / 'own.mp4', 'rotate=270'),
                   [[160, 0], [240, 80]]))
    for path, expected in videos:
        part = encode_part(path, 0, 9, EncodingConfig(short_side=48))
        frame = open_video('part', data=part.data).get_frames([3])[0]
        np.testing.assert_array_equal(quarters_of(frame), expected)
