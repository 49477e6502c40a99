import numpy as np
import pytest

from tvtsv2_mm.datasets.transforms import RandomTubeMask


def kept(size=(224, 224), seed=0, **kwargs):
    imgs = np.zeros((2, *size, 3), np.uint8)
    results = RandomTubeMask(**kwargs).transform(
        dict(imgs=imgs, rng=np.random.default_rng(seed)))
    return results['kept_patches']


@pytest.mark.parametrize(('patch_size', 'ratio', 'number'), [
    (16, 0.5, 98), (14, 0.7, 76), (32, 0.0, 49), (16, 0.9, 19),
])
def test_number_of_the_method(patch_size, ratio, number):
    patches = kept(patch_size=patch_size, ratio=ratio)
    assert patches.shape == (number,)
    assert patches.dtype == np.int64
    assert (np.diff(patches) > 0).all()
    assert patches[0] >= 0
    assert patches[-1] < (224 // patch_size) ** 2


def test_kept_patches_are_cut_out():
    imgs = np.random.default_rng(0).integers(0, 256, (2, 12, 20, 3), np.uint8)
    results = RandomTubeMask(patch_size=4, ratio=0.5).transform(
        dict(imgs=imgs, rng=np.random.default_rng(1)))
    assert results['imgs'].shape == (2, 7, 4, 4, 3)
    for patch, index in zip(results['imgs'].swapaxes(0, 1), results['kept_patches'], strict=True):
        top, left = index // 5 * 4, index % 5 * 4
        np.testing.assert_array_equal(patch, imgs[:, top:top + 4, left:left + 4])


def test_every_patch_is_kept_equally_often():
    counts = np.zeros(12)
    for seed in range(600):
        counts[kept(size=(48, 64), seed=seed)] += 1
    assert counts.sum() == 600 * 6
    assert np.abs(counts / 600 - 0.5).max() < 0.08


@pytest.mark.parametrize(('size', 'kwargs', 'message'), [
    ((224, 230), {}, '224x230 pixels cannot be cut into whole patches of 16'),
    ((16, 16), {}, 'keeps none of the 1 patches'),
])
def test_pictures_that_do_not_fit(size, kwargs, message):
    with pytest.raises(ValueError, match=message):
        kept(size=size, **kwargs)


@pytest.mark.parametrize('kwargs', [dict(patch_size=0), dict(ratio=1.0), dict(ratio=-0.1)])
def test_wrong_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        RandomTubeMask(**kwargs)


def test_clips_of_mmaction2():
    """Each clip a mask of its own; with numpy's generator, which their data sets seed."""
    imgs = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 12, 20), np.uint8)
    results = RandomTubeMask(patch_size=4, ratio=0.5).transform(dict(imgs=imgs, clip_len=5))
    assert results['imgs'].shape == results['input_shape'] == (2, 3, 5, 7 * 4, 4)
    assert results['kept_patches'].shape == (2, 7)
    for clip, own, kept_of_clip in zip(results['imgs'], imgs, results['kept_patches'], strict=True):
        for number, index in enumerate(kept_of_clip):
            top, left = index // 5 * 4, index % 5 * 4
            np.testing.assert_array_equal(clip[:, :, number * 4:number * 4 + 4],
                                          own[:, :, top:top + 4, left:left + 4])


@pytest.mark.parametrize(('results', 'told'), [
    (dict(imgs=[np.zeros((8, 8, 3))] * 5, clip_len=5), 'list of 5 frames'),  # before FormatShape
    (dict(imgs=np.zeros((5, 3, 8, 8)), clip_len=1), r'\(5, 3, 8, 8\)'),  # FormatShape('NCHW')
    (dict(imgs=np.zeros((5, 8, 8, 3)), clip_len=5), r'\(5, 8, 8, 3\)'),  # an array before it
    (dict(imgs=np.zeros((1, 3, 5, 8, 8))), r'\(1, 3, 5, 8, 8\)'),
    (dict(inputs=0), 'not decoded yet, or packed already'),
])
def test_at_a_wrong_place(results, told):
    with pytest.raises(ValueError, match=f"put it right behind .*'NCTHW'.* got .*{told}"):
        RandomTubeMask().transform(results)
