"""From the file to the model's input: the release's pixels, and CLIP's, to the last bit."""

import json
import tracemalloc
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from tests.grey_videos import write_grey_video
from tvtsv2_mm.apis.clips import ClipSource, clip_transforms
from tvtsv2_mm.apis.launch.fit_to_model import fit_to_model
from tvtsv2_mm.datasets.clips_of_video import run_transforms
from tvtsv2_mm.datasets.transforms import OpenVideo
from tvtsv2_mm.registry import TRANSFORMS
from tvtsv2_mm.video.decord_reader import DecordReader
from tvtsv2_mm.video.frame_scaling import FrameScaling
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.sequential_reader import SequentialReader
from tvtsv2_mm.video.source import VideoSource

ROOT = Path(__file__).parents[2]
VIDEOS = ROOT / 'tests/data/videos'
CONFIGS = ROOT / 'configs/tvtsv2'
GOLDEN = json.loads((ROOT / 'tests/data/golden/release_pixels.json').read_text())


def pipeline_of(name, loader='test_dataloader'):
    cfg = Config.fromfile(CONFIGS / name)
    cfg.load_from = None  # nothing is fetched
    fit_to_model(cfg)
    return cfg[loader].dataset.pipeline


def clip_of(name, pipeline):
    """Pixels (T, H, W, 3) and metainfo at the end of a pipeline."""
    results = dict(filename=str(VIDEOS / name), texts=['a'], captions=['a'], label=0,
                   rng=np.random.default_rng(0))
    packed, = run_transforms([TRANSFORMS.build(step) for step in pipeline], [results])
    return packed['inputs']['video'].permute(0, 2, 3, 1).numpy(), packed['data_samples']


def assert_equal_to_release(frames, name, kind):
    golden = GOLDEN[name]
    found = [sha256(frames[i].tobytes()).hexdigest() for i in golden['kept']]
    assert found == golden[kind]['sha256']


@pytest.mark.parametrize('options', [
    dict(), dict(backend='pyav'), dict(backend='decord'), dict(isolate=True), dict(cache_mb=512)])
@pytest.mark.parametrize('name', GOLDEN)
def test_evaluation_by_every_reader(name, options):
    pipeline = pipeline_of('vit-b16_zero-shot_hmdb51.py')
    pipeline[0].update(options)
    frames, sample = clip_of(name, pipeline)
    assert_equal_to_release(frames, name, 'evaluation')
    assert sample.frame_inds.tolist() == GOLDEN[name]['evaluation']['indices']


@pytest.mark.parametrize(('config', 'loader'), [
    ('vit-h_zero-shot_kinetics400.py', 'test_dataloader'),
    ('vit-b16_linear-probe_ucf101.py', 'val_dataloader'),
    ('vit-b16_multiple-choice_ssv2.py', 'test_dataloader'),
    ('vit-b32_retrieval_msrvtt.py', 'test_dataloader'),
    ('vit-b16_pretrain.py', 'val_dataloader'),
    ('vit-b16_zero-shot_own-data.py', 'test_dataloader'),
    ('vit-h_retrieval_own-data.py', 'test_dataloader')])
def test_evaluation_of_every_protocol(config, loader):
    pipeline = pipeline_of(config, loader)
    frames, _ = clip_of('example.mp4', pipeline)
    assert [step.short_clip for step in pipeline if step.type == 'DecodeClip'] == ['black']
    assert_equal_to_release(frames, 'example.mp4', 'evaluation')


@pytest.mark.parametrize('config', ['vit-b16_pretrain.py', 'vit-l_pretrain.py',
                                    'vit-b16_pretrain_shards.py', 'vit-b16_linear-probe_hmdb51.py'])
def test_training_takes_crops_of_the_releases_frames(config):
    dataset = Config.fromfile(CONFIGS / config).train_dataloader.dataset
    for own in dataset.get('datasets', [dataset]):
        steps = {step['type']: step for step in own.pipeline}
        results = OpenVideo(**{k: v for k, v in steps['OpenVideo'].items() if k != 'type'})(
            dict(filename=str(VIDEOS / 'part_0.mp4')))
        frame, = results['video_reader'].get_frames([8])
        assert frame.shape == (268, 355, 3)
        full = Image.fromarray(open_video(str(VIDEOS / 'part_0.mp4')).get_frames([8])[0])
        np.testing.assert_array_equal(frame, full.resize((355, 268), Image.NEAREST))
        assert steps['DecodeClip']['short_clip'] == 'black'


@pytest.mark.parametrize('as_array', [False, True])
@pytest.mark.parametrize(('clips', 'kind'), [
    ('protocol', 'evaluation'), ('feature-script', 'feature_script')])
@pytest.mark.parametrize('config', ['vit-b16_zero-shot_hmdb51.py', '../_base_/models/'
                                    'tvtsv2_vit-b16.py'])
def test_inference(config, clips, kind, as_array):
    """With a data set in the config, and of the model alone; videos and arrays."""
    name = 'part_0.mp4'
    path = str(VIDEOS / name)
    video = open_video(path).get_frames(np.arange(32)) if as_array else path
    _, packed = ClipSource([video], clip_transforms(Config.fromfile(CONFIGS / config), clips))[0]
    assert_equal_to_release(packed['inputs']['video'].permute(0, 2, 3, 1).numpy(), name, kind)
    assert packed['data_samples'].frame_inds.tolist() == GOLDEN[name][kind]['indices']


@pytest.mark.parametrize('pipeline', [
    pipeline_of('clip-b16_zero-shot_ucf101.py'), pipeline_of('clip-b16_retrieval_didemo.py'),
    pipeline_of('clip-b16_linear-probe_ucf101.py', 'val_dataloader'),
    clip_transforms(Config.fromfile(CONFIGS / '../_base_/models/clip_vit-b16.py'))])
def test_the_baseline_takes_clips_own_preprocessing(pipeline):
    frames, sample = clip_of('part_0.mp4', pipeline)
    full = open_video(str(VIDEOS / 'part_0.mp4')).get_frames(sample.frame_inds)
    for frame, image in zip(frames, map(Image.fromarray, full), strict=True):
        # open_clip's and CLIP's: bicubic, short side 224, centre crop at rounded offsets.
        image = image.resize((297, 224), Image.BICUBIC).crop((36, 0, 260, 224))
        np.testing.assert_array_equal(frame, image)


@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear', 'bicubic'])
@pytest.mark.parametrize('name', ['part_0.mp4', 'example.mp4', 'rotated_90.mov'])
def test_all_readers_give_equal_pixels(name, interpolation):
    path = str(VIDEOS / name)
    scaling = dict(short_side=100, interpolation=interpolation)
    expected = open_video(path, **scaling)
    reader = SequentialReader(VideoSource(path), scaling=FrameScaling(**scaling))
    inds = [2, 0, 1, 2]
    frames = expected.get_frames(inds)
    assert frames.shape[1:3] == expected.size == reader.size
    np.testing.assert_array_equal(reader.get_frames(inds), frames)
    by_decord = open_video(path, backend='decord', **scaling)
    assert isinstance(by_decord, DecordReader)
    np.testing.assert_array_equal(by_decord.get_frames(inds), frames)
    cached = OpenVideo(cache_mb=100, isolate=True, **scaling)(dict(filename=path))
    np.testing.assert_array_equal(cached['video_reader'].get_frames(inds), frames)


@pytest.mark.parametrize(('aspect', 'options', 'size'), [
    (Fraction(4, 3), dict(), (48, 64)), (Fraction(4, 3), dict(square_pixels=True), (48, 85)),
    (Fraction(1, 2), dict(square_pixels=True), (48, 32)),
    (Fraction(1, 2), dict(square_pixels=True, short_side=28), (42, 28)),
    (Fraction(4, 3), dict(square_pixels=True, short_side=28, keep_ratio=False), (28, 28)),
    (Fraction(1, 200), dict(square_pixels=True), (48, 64))])
@pytest.mark.parametrize('interpolation', ['nearest', 'bicubic', 'fast'])
def test_pixels_that_are_not_square(tmp_path, aspect, options, size, interpolation):
    ramp = np.tile(np.arange(0, 256, 4, np.uint8)[None, :, None], (48, 1, 3))
    path = write_grey_video(tmp_path / 'wide.mp4', num_frames=3, size=(48, 64),
                            pixel_aspect=aspect, pictures=[ramp] * 3)
    readers = [open_video(path, interpolation=interpolation, **options),
               open_video(path, interpolation=interpolation, backend='decord', **options),
               OpenVideo(isolate=True, interpolation=interpolation, **options)(
                   dict(filename=path))['video_reader'],
               SequentialReader(VideoSource(path), scaling=FrameScaling(
                   interpolation=interpolation, **options))]
    assert isinstance(readers[1], DecordReader)
    for reader in readers:
        frames = reader.get_frames([0, 2])
        assert frames.shape[1:3] == reader.size == size
        assert (np.abs(np.diff(frames[0, :, :, 0].mean(0)) - 252 / size[1]) < 9).all()
        assert interpolation == 'fast' or (frames == readers[0].get_frames([0, 2])).all()


def test_frames_are_scaled_one_by_one():
    video = open_video(str(VIDEOS / 'example.mp4'), backend='decord', short_side=48)
    tracemalloc.start()
    frames = video.get_frames(np.arange(50))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - 2 * frames.nbytes < 4 * 640 * 480 * 3


def test_fast_frames_come_from_the_decoder_and_are_others():
    path = str(VIDEOS / 'example.mp4')
    frames = open_video(path, short_side=100).get_frames([0]).astype(int)
    fast = open_video(path, short_side=100, interpolation='fast').get_frames([0])
    assert fast.shape == frames.shape
    assert np.abs(fast - frames).mean() > 1
    image = Image.fromarray(open_video(path).get_frames([0])[0])
    assert np.abs(fast[0].astype(int) - image.resize((133, 100), Image.BICUBIC)).mean() < 3


def test_a_video_of_fewer_frames_ends_in_the_mean_colour():
    frames, sample = clip_of('rotated_90.mov', pipeline_of('vit-b16_zero-shot_hmdb51.py'))
    assert frames.shape == (12, 224, 224, 3)
    assert sample.num_valid_frames == 3 and sample.frame_inds.tolist() == [0, 1, 2]
