import numpy as np
import pytest
from PIL import Image

from tvtsv2_mm.video.frame_scaling import FrameScaling

PIL_METHODS = {'nearest': Image.NEAREST, 'bilinear': Image.BILINEAR, 'bicubic': Image.BICUBIC,
               'fast': Image.BICUBIC}


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize('interpolation', PIL_METHODS)
@pytest.mark.parametrize('keep_ratio', [True, False])
@pytest.mark.parametrize('size', [(240, 320), (256, 340), (340, 256), (96, 97), (1080, 607)])
def test_the_pixels_are_those_of_pil(interpolation, keep_ratio, size):
    frame = noise(*size)
    for short_side in (64, 224, 268):
        scaling = FrameScaling(
            short_side=short_side, interpolation=interpolation, keep_ratio=keep_ratio)
        height, width = scaling.size_of(*size)
        expected = Image.fromarray(frame).resize((width, height), PIL_METHODS[interpolation])
        np.testing.assert_array_equal(scaling.scale(frame, (height, width)), expected)


@pytest.mark.parametrize('size', [(240, 320), (1080, 607)])
def test_the_pixels_of_opencv_are_a_mean_of_the_four_nearest(size):
    frame = noise(*size)
    scaling = FrameScaling(short_side=64, interpolation='cv2_bilinear')
    shape = scaling.size_of(*size)
    expected = frame.astype(float)
    for axis, (old, new) in enumerate(zip(size, shape, strict=True)):
        places = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
        low = places.astype(int)
        share = (places - low).reshape(-1, *[1] * (2 - axis))
        expected = ((1 - share) * expected.take(low, axis)
                    + share * expected.take((low + 1).clip(max=old - 1), axis))
    found = scaling.scale(frame[:, ::-1], shape)[:, ::-1]  # a view that goes backwards
    assert np.abs(found - expected).max() <= 1


def test_nearest_neighbours_are_those_of_pil_at_every_length():
    scaling = FrameScaling(short_side=64, keep_ratio=False)
    for width in range(64, 2000):
        row = np.zeros((64, width, 3), np.uint8)
        row[..., :2] = np.stack(np.divmod(np.arange(width), 256), axis=-1)
        expected = Image.fromarray(row).resize((64, 64), Image.NEAREST)
        np.testing.assert_array_equal(
            scaling.scale(row, (64, 64)), expected, err_msg=f'width {width}')


@pytest.mark.parametrize(('size', 'scaled'), [
    ((240, 294), (268, 328)), ((294, 240), (328, 268)), ((480, 640), (268, 357)),
    ((268, 300), (268, 300)), ((720, 721), (268, 268))])
def test_the_longer_side_is_cut_down_as_by_the_release(size, scaled):
    assert FrameScaling(short_side=268).size_of(*size) == scaled


def test_a_frame_of_the_wanted_size_is_not_copied():
    frame = noise(64, 80)
    for scaling in (FrameScaling(), FrameScaling(short_side=64, interpolation='bicubic')):
        assert scaling.scale(frame, frame.shape[:2]) is frame


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(short_side=0), 'short_side'), (dict(interpolation='area'), "'nearest', .*'fast'"),
    (dict(keep_ratio=False), 'keep_ratio=False needs short_side')])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FrameScaling(**kwargs)
