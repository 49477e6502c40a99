import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.dataset import pseudo_collate
from torch.utils.data._utils.pin_memory import pin_memory

from tvtsv2_mm.registry import MODELS


def make_sample(num_valid=None, shape=(4, 3, 8, 8), texts=2, patches=3):
    generator = torch.Generator().manual_seed(texts)
    sample = ActionDataSample()
    meta = {'filename': f'video{texts}.mp4'}
    if num_valid is not None:
        meta['num_valid_frames'] = num_valid
    sample.set_metainfo(meta)
    tokens = torch.randint(1, 99, (texts, 5), generator=generator)
    tokens[:, -1] = 99
    inputs = {
        'video': torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        'tokens': tokens,
        'kept_patches': torch.arange(patches),
    }
    return {'inputs': inputs, 'data_samples': sample}


def build(**kwargs):
    return MODELS.get('VideoTextDataPreprocessor')(**kwargs)


def test_pixels_are_normalised_by_channel():
    samples = [make_sample(), make_sample()]
    mean, std = [10.0, 20.0, 30.0], [2.0, 4.0, 8.0]
    batch = build(mean=mean, std=std)(pseudo_collate(samples))
    video = batch['inputs']['video']
    assert video.shape == (2, 4, 3, 8, 8)
    assert video.dtype == torch.float32
    assert video.is_contiguous()
    for channel in range(3):
        wanted = (samples[1]['inputs']['video'][:, channel].float() - mean[channel]) / std[channel]
        torch.testing.assert_close(video[1, :, channel], wanted)
    assert batch['inputs']['tokens'].shape == (2, 2, 5)
    assert batch['inputs']['kept_patches'].tolist() == [[0, 1, 2], [0, 1, 2]]
    assert len(batch['data_samples']) == 2


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_pixels_are_the_same_in_a_model_of_half_the_width(dtype):
    data = pseudo_collate([make_sample()])
    expected = build()(data)['inputs']['video']
    torch.testing.assert_close(build().to(dtype)(data)['inputs']['video'], expected, atol=0, rtol=0)
    assert build().to('meta').mean.is_meta


def test_default_is_imagenet_in_fractions_of_255():
    pixels = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    video = build()({'inputs': {'video': [pixels]}})['inputs']['video']
    wanted = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(video[0, 0, :, 0, 0], wanted)


def test_black_frames_are_zero_after_normalisation():
    batch = build()(pseudo_collate([make_sample(num_valid=1), make_sample(num_valid=4)]))
    video = batch['inputs']['video']
    assert (video[0, 1:] == 0).all()
    assert (video[0, :1] != 0).any()
    assert (video[1].flatten(1) != 0).any(1).all()


def test_black_frames_follow_in_each_view():
    sample = make_sample(num_valid=1)
    sample['data_samples'].set_metainfo(dict(num_views=2))
    video = build()(pseudo_collate([sample]))['inputs']['video'][0]
    assert [bool((frame == 0).all()) for frame in video] == [False, True, False, True]


def test_channels_last_views_from_the_packing_give_the_same_batch():
    sample = make_sample()
    wanted = build()(pseudo_collate([sample]))['inputs']['video']
    frames = sample['inputs']['video'].permute(0, 2, 3, 1).contiguous()
    sample['inputs']['video'] = frames.permute(0, 3, 1, 2)
    video = build()(pseudo_collate([sample]))['inputs']['video']
    assert video.is_contiguous()
    torch.testing.assert_close(video, wanted, rtol=0, atol=0)


def test_different_numbers_of_texts_stay_a_list():
    batch = build()(pseudo_collate([make_sample(texts=1), make_sample(texts=3)]))
    assert [tuple(tokens.shape) for tokens in batch['inputs']['tokens']] == [(1, 5), (3, 5)]


@pytest.mark.parametrize('texts', [2, 3])
@pytest.mark.parametrize('columns', [4, None])
def test_texts_are_cut_to_what_is_read_of_the_longest_of_the_batch(model, texts, columns):
    """By CLIP's text encoder; None: another may read the padding."""
    preprocessor = build()
    if columns is not None:
        preprocessor.longest_text = model.neck.longest_text
    samples = [make_sample(texts=2), make_sample(texts=texts)]
    for sample, end in zip(samples, (1, 3), strict=True):
        sample['inputs']['tokens'][0, end] = 99
        sample['inputs']['tokens'][0, end + 1:] = 0
        sample['inputs']['tokens'][1:, 1] = 99
        sample['inputs']['tokens'][1:, 2:] = 0
    batch = preprocessor(pseudo_collate(samples))
    for found, sample in zip(batch['inputs']['tokens'], samples, strict=True):
        assert found.tolist() == sample['inputs']['tokens'][:, :columns].tolist()


def test_samples_without_text_or_mask():
    sample = make_sample()
    del sample['inputs']['tokens'], sample['inputs']['kept_patches']
    assert set(build()(pseudo_collate([sample]))['inputs']) == {'video'}


def test_clips_of_different_size_name_the_file():
    data = pseudo_collate([make_sample(), make_sample(shape=(4, 3, 8, 6), texts=1)])
    with pytest.raises(ValueError, match=r'video1\.mp4.*\(4, 3, 8, 6\).*video2\.mp4.*CropClip'):
        build()(data)


def test_wrong_channels():
    with pytest.raises(ValueError, match=r'\(T, 3, H, W\), or .* got \(4, 1, 8, 8\)'):
        build()(pseudo_collate([make_sample(shape=(4, 1, 8, 8))]))


def test_different_numbers_of_kept_patches():
    with pytest.raises(ValueError, match='RandomTubeMask'):
        build()(pseudo_collate([
            make_sample(patches=count, shape=(4, count, 3, 4, 4)) for count in (2, 3)]))


def test_kept_patches_are_normalised_as_clips_are():
    preprocessor = build()
    sample = make_sample(num_valid=2, shape=(4, 5, 3, 4, 4), patches=5)
    patches = sample['inputs']['video']
    clip = patches.permute(0, 2, 1, 3, 4).flatten(2, 3)  # (T, 3, P' * p, p)
    wanted = preprocessor(pseudo_collate(
        [dict(sample, inputs=dict(sample['inputs'], video=clip))]))['inputs']['video']
    batch = preprocessor(pseudo_collate([dict(sample, inputs=dict(
        sample['inputs'], video=patches))]))['inputs']['video']
    assert batch.shape == (1, 4, 5, 3, 4, 4)
    torch.testing.assert_close(batch.transpose(2, 3).flatten(3, 4), wanted, rtol=0, atol=0)


def test_a_pipeline_without_packing():
    with pytest.raises(ValueError, match='PackVideoText'):
        build()({'inputs': [torch.zeros(1)]})


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(mean=[1.0]), 'one number for each'),
    (dict(std=[1.0, 2.0, 0.0]), 'positive'),
    (dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]), 'multiply them by 255'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


def test_what_goes_to_the_device_is_pinned(monkeypatch):
    """By torch's data loaders with ``pin_memory``, which take batches apart by their types."""
    pinned = []
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda self, *_: pinned.append(self) or self)
    given = pseudo_collate([make_sample(), make_sample()])
    batch = pin_memory(given)
    assert len(pinned) == sum(map(len, given['inputs'].values())) == 6
    assert [type(sample) for sample in batch['data_samples']] == [ActionDataSample] * 2
    torch.testing.assert_close(build(non_blocking=True)(batch)['inputs'], build()(given)['inputs'])
