"""The whole way of a sample, built from a config as a Runner builds it."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.models import VideoTextDataPreprocessor
from tvtsv2_mm.video.errors import UnreadableVideoError

EXAMPLE = Path(__file__).parents[2] / 'data/videos/example.mp4'
PIPELINE = [
    dict(type='SampleTranscriptSegments', num_segments=2, segment_seconds=(1, 1), gap_seconds=0),
    dict(type='OpenVideo', short_side=57),
    dict(type='SampleClipFrames', num_frames=6),
    dict(type='DecodeClip'),
    dict(type='CropClip', size=48),
    dict(type='TokenizeText'),
    dict(type='RandomTubeMask', patch_size=16, ratio=0.5),
    dict(type='PackVideoText'),
]


@pytest.fixture(scope='module')
def pipeline():
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        return Compose(PIPELINE)


def make_sample(seed=0, **kwargs):
    words = [(f'word{i}', i / 4, i / 4 + 0.25) for i in range(8)]
    return dict(filename=str(EXAMPLE), sample_id='example', duration=2.0, words=words,
                skipped=[], rng=np.random.default_rng(seed)) | kwargs


def test_a_batch_for_the_model(pipeline):
    samples = [pipeline(make_sample(seed)) for seed in range(2)]
    batch = VideoTextDataPreprocessor()(pseudo_collate(samples))
    shapes = {key: tuple(value.shape) for key, value in batch['inputs'].items()}
    # Which of the texts' 77 tokens are read a model says.
    assert shapes == dict(video=(2, 6, 4, 3, 16, 16), tokens=(2, 2, 77), kept_patches=(2, 4))
    metainfo = batch['data_samples'][0].metainfo
    assert metainfo['texts'] == ['word0 word1 word2 word3', 'word4 word5 word6 word7']
    assert metainfo['span'] == (0.0, 2.0)
    assert len(metainfo['frame_inds']) == 6


def test_the_generator_decides_everything(pipeline):
    first, again, other = (pipeline(make_sample(seed))['inputs'] for seed in (3, 3, 4))
    assert all((first[key] == again[key]).all() for key in first)
    assert (first['video'] != other['video']).any()
    assert (first['kept_patches'] != other['kept_patches']).any()


def test_a_hopeless_transcript_opens_no_file(pipeline):
    with pytest.raises(UnusableSampleError, match='words'):
        pipeline(make_sample(filename='missing.mp4', words=[('a', 0, 1)]))
    with pytest.raises(UnreadableVideoError):
        pipeline(make_sample(filename='missing.mp4'))
