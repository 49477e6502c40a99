import numpy as np
import pytest

from tvtsv2_mm.datasets.transforms import CropClip

# Each pixel tells where it is: (row, column, frame).
FRAMES = np.stack(np.meshgrid(np.arange(2), np.arange(20), np.arange(30), indexing='ij'), -1)
FRAMES = FRAMES[..., [1, 2, 0]].astype(np.uint8)


def crop(seed=0, **kwargs):
    results = CropClip(**kwargs).transform(
        dict(imgs=FRAMES, rng=np.random.default_rng(seed), filename='a.mp4'))
    return results['imgs']


def test_center():
    imgs = crop(size=10, mode='center')
    assert imgs.shape == (2, 10, 10, 3)
    assert imgs[0, 0, 0].tolist() == [5, 10, 0]
    assert imgs[1, 0, 0].tolist() == [5, 10, 1]


@pytest.mark.parametrize(('size', 'corner'), [(9, (6, 10)), (13, (4, 8)), (15, (2, 8))])
def test_half_pixels_are_rounded_to_even_as_by_the_release(size, corner):
    assert crop(size=size, mode='center')[0, 0, 0, :2].tolist() == list(corner)
    three = crop(size=size, mode='three')
    assert three[2, 0, 0, :2].tolist() == list(corner)


def test_random_reaches_every_place_and_is_the_same_for_all_frames():
    corners = set()
    for seed in range(400):
        imgs = crop(seed, size=17)
        assert imgs.shape == (2, 17, 17, 3)
        assert (imgs[0, ..., :2] == imgs[1, ..., :2]).all()
        corners.add(tuple(imgs[0, 0, 0, :2].tolist()))
    assert corners == {(y, x) for y in range(4) for x in range(14)}


def test_no_copy_is_made():
    assert np.shares_memory(crop(size=10), FRAMES)


def test_size_of_the_frame():
    assert crop(size=20)[0, 0, 0, 0] == 0


def test_frames_smaller_than_the_crop():
    with pytest.raises(ValueError, match=(
            r'a\.mp4: frames of 20x30 pixels are smaller than the crop of 21x21.*short_side')):
        crop(size=21)


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(size=0), 'size'), (dict(mode='corner'), "'random', 'center'"),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CropClip(**kwargs)
