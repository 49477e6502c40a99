import numpy as np
import pytest
import torch

from tvtsv2_mm.datasets.transforms import PackVideoText


def make_results(**kwargs):
    frames = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 3), dtype=np.uint8)
    return dict(imgs=frames[:, 3:11, 5:13], filename='a.mp4', sample_id='a', **kwargs)


def test_video_has_the_channels_in_front():
    results = make_results()
    video = PackVideoText().transform(results)['inputs']['video']
    assert video.shape == (4, 3, 8, 8)
    assert video.dtype == torch.uint8
    assert (video.numpy() == results['imgs'].transpose(0, 3, 1, 2)).all()


def test_what_the_crop_left_out_does_not_travel():
    video = PackVideoText().transform(make_results())['inputs']['video']
    assert video.untyped_storage().nbytes() == 4 * 3 * 8 * 8


def test_text_and_mask_where_there_are_any():
    packed = PackVideoText().transform(make_results())
    assert set(packed) == {'inputs', 'data_samples'}
    assert set(packed['inputs']) == {'video'}
    packed = PackVideoText().transform(make_results(
        tokens=torch.ones(2, 5, dtype=torch.long), kept_patches=np.array([1, 3])))
    assert packed['inputs']['tokens'].shape == (2, 5)
    assert packed['inputs']['kept_patches'].tolist() == [1, 3]
    assert packed['inputs']['kept_patches'].dtype == torch.int64


@pytest.mark.parametrize(('key', 'value'), [('label', 3), ('gt_label', 3), ('gt_label', 0)])
def test_labels(key, value):
    sample = PackVideoText().transform(make_results(**{key: value}))['data_samples']
    assert sample.gt_label.tolist() == [value]


def test_no_label():
    assert 'gt_label' not in PackVideoText().transform(make_results())['data_samples']


def test_metainfo():
    skipped = [dict(path='b.mp4', reason='the file is empty')]
    results = make_results(texts=['hi'], num_valid_frames=2, skipped=skipped, span=(1.0, 4.0),
                           video_reader='not for the model')
    sample = PackVideoText().transform(results)['data_samples']
    assert sample.metainfo == dict(filename='a.mp4', sample_id='a', texts=['hi'], skipped=skipped,
                                   num_valid_frames=2, span=(1.0, 4.0))
    sample = PackVideoText(meta_keys=('sample_id',)).transform(results)['data_samples']
    assert sample.metainfo == dict(sample_id='a')
