"""Every column and row of a picture, where memory that nobody wrote would show."""

import ctypes
import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tvtsv2_mm.preparation.narrated_shapes.render import write_video
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig, encode_part
from tvtsv2_mm.video.frame_pixels import FramePixels
from tvtsv2_mm.video.frame_scaling import FrameScaling
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.orientation import Orientation

WIDTHS = range(16, 97)
_M_PERTURB = -6


@pytest.fixture
def poison():
    """Fill what malloc gives out (glibc), so that unwritten memory differs between two calls."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', lambda *_: None)
    yield lambda value: mallopt(_M_PERTURB, value)
    mallopt(_M_PERTURB, 0)


def picture(pixel_format, height, width, padding):
    """A frame of random luma and one chroma, and its R, G, B by BT.601 without rounding."""
    frame = av.VideoFrame(width, height, pixel_format)
    luma = np.random.default_rng(width).integers(60, 190, (height, width))
    chroma = frame.format.chroma_width(width)
    values = {'y': luma, 'u': 110, 'v': 140, 'a': 255}
    dtype, scale = ('<u2', 4) if pixel_format.endswith('10le') else ('u1', 1)
    names = ['y', 'uv'] if pixel_format == 'nv12' else ['y', 'u', 'v', 'a']
    for plane, components in zip(frame.planes, names, strict=False):
        rows = np.full(plane.buffer_size // np.dtype(dtype).itemsize, padding, dtype)
        rows = rows.reshape(-1, plane.line_size // rows.itemsize)
        for place, name in enumerate(components):
            shown = len(components) * (width if name in 'ya' else chroma)
            rows[:height, place:shown:len(components)] = np.multiply(values[name], scale)
        plane.update(rows.tobytes())
    u, v = (0, 0) if pixel_format == 'gray' else (110 - 128, 140 - 128)
    if 'j' in pixel_format or pixel_format == 'gray':
        red, green, blue = 1.402 * v, -0.344 * u - 0.714 * v, 1.772 * u
    else:
        luma = (luma - 16) * 255 / 219
        red, green, blue = 1.596 * v, -0.392 * u - 0.813 * v, 2.017 * u
    return frame, np.stack([luma + red, luma + green, luma + blue], axis=-1)


@pytest.mark.parametrize('pixel_format', [
    'yuv420p', 'yuvj420p', 'yuv422p', 'yuvj422p', 'yuv444p', 'yuvj444p', 'yuv411p', 'yuv410p',
    'yuva420p', 'nv12', 'gray', 'yuv420p10le', 'yuv422p10le', 'yuv444p10le'])
@pytest.mark.parametrize('height', [32, 33])
def test_every_column_and_row_is_written(pixel_format, height, poison):
    for width in WIDTHS:
        for size in [(height, width), (height + 8, width + 9), (height, width - 3), (24, width)]:
            pixels = []
            for filling in (0x11, 0xee):
                frame, exact = picture(pixel_format, height, width, padding=filling)
                poison(filling)
                out = np.empty((*size, 3), np.uint8)
                FramePixels(FrameScaling(interpolation='fast')).write(frame, Orientation(), out)
                poison(0)
                pixels.append(out)
            np.testing.assert_array_equal(*pixels, err_msg=f'{size} from width {width}')
            if size == (height, width):
                np.testing.assert_allclose(pixels[0], exact, atol=3, err_msg=f'width {width}')
            else:
                rgb = frame.reformat(width=size[1], height=size[0], format='rgb24',
                                     interpolation='BICUBIC').to_ndarray()
                np.testing.assert_allclose(pixels[0].astype(int), rgb, atol=3,
                                           err_msg=f'{size} from width {width}')


def number_of_threads() -> int:
    return len(os.listdir('/proc/self/task'))


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_no_thread_is_started_that_a_forked_process_would_miss(tmp_path):
    frame, _ = picture('yuv420p', 480, 640, padding=0)
    before = number_of_threads()
    for size in ((480, 640), (224, 298)):
        pixels = FramePixels(FrameScaling(interpolation='fast'))
        pixels.write(frame, Orientation(), np.empty((*size, 3), np.uint8))
        assert number_of_threads() <= before  # those of what was there before may end
    write_video(tmp_path / 'a.mp4', np.zeros((2, 480, 640, 3), np.uint8), fps=2)
    encode_part(str(tmp_path / 'a.mp4'), 0, 1, EncodingConfig())
    assert number_of_threads() <= before


def write_blocks(path: Path, codec: str, pixel_format: str, height: int, width: int) -> str:
    """Two frames of coloured blocks."""
    rng = np.random.default_rng(width)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = height, width, pixel_format
        for _ in range(2):
            blocks = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
            pixels = np.kron(blocks, np.ones((4, 4, 1), np.uint8))[:height, :width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), 'rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.mark.parametrize(('codec', 'pixel_format', 'step'), [
    ('ffv1', 'yuv420p', 1), ('ffv1', 'yuv422p', 1), ('mjpeg', 'yuvj420p', 1),
    ('libx264', 'yuv420p', 2), ('libx264', 'yuv444p', 1)])
def test_full_size_frames_equal_those_of_decord(tmp_path, poison, codec, pixel_format, step):
    for width in WIDTHS[::step]:
        path = write_blocks(tmp_path / f'{width}.mkv', codec, pixel_format, 32, width)
        poison(0xee)
        frames = open_video(path).get_frames([0, 1])
        poison(0)
        of_decord = open_video(path, backend='decord').get_frames([0, 1])
        np.testing.assert_array_equal(frames, of_decord, err_msg=f'width {width}')
