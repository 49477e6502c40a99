import json
from collections import Counter

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from tests.grey_videos import numbers_of, write_grey_video
from tvtsv2_mm.datasets import CaptionVideoDataset, collate_clips
from tvtsv2_mm.datasets.transforms import DecodeClip, OpenVideo
from tvtsv2_mm.engine.hooks import SkippedSampleHook
from tvtsv2_mm.models import VideoTextDataPreprocessor
from tvtsv2_mm.video.pyav_reader import PyAVReader

PIPELINE = [
    dict(type='OpenVideo', short_side=32),
    dict(type='SampleClipFrames', num_frames=4),
    dict(type='DecodeClip'),
    dict(type='CropClip', size=32),
    dict(type='PackVideoText'),
]


@pytest.fixture
def data(tmp_path):
    """Transcripts of six videos, the last one empty, and captions of four."""
    for i in range(5):
        write_grey_video(tmp_path / f'{i}.mp4', fps=4)
    (tmp_path / '5.mp4').touch()
    words = [[f'word{k}', k * 0.5, k * 0.5 + 0.4] for k in range(20)]
    (tmp_path / 'transcripts.jsonl').write_text('\n'.join(
        json.dumps(dict(path=f'{i}.mp4', duration=10.0, words=words)) for i in range(6)))
    (tmp_path / 'captions.jsonl').write_text('\n'.join(
        json.dumps(dict(path=f'{i}.mp4', captions=['a', 'b', 'c'])) for i in range(4)))
    return tmp_path


def transcripts(data, **options):
    segments = dict(type='SampleTranscriptSegments', num_segments=2, segment_seconds=(1, 2))
    return dict(type='tvtsv2_mm.TranscriptVideoDataset', ann_file=str(data / 'transcripts.jsonl'),
                data_prefix=dict(video=str(data)), pipeline=[segments, *PIPELINE], **options)


def captions(data, **options):
    return dict(type='tvtsv2_mm.CaptionVideoDataset', ann_file=str(data / 'captions.jsonl'),
                data_prefix=dict(video=str(data)), pipeline=PIPELINE, **options)


def test_clips_of_one_video_are_decoded_in_one_pass(data, monkeypatch):
    calls = Counter()

    def count(name, method):
        def counted(*args, **kwargs):
            calls[name] += 1
            return method(*args, **kwargs)
        monkeypatch.setattr(PyAVReader, name, counted)

    count('__init__', PyAVReader.__init__)
    count('get_frames', PyAVReader.get_frames)
    init_default_scope('tvtsv2_mm')
    clips = Runner.build_dataloader(dict(
        batch_size=1, dataset=transcripts(data, clips_per_video=4, indices=1),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='tvtsv2_mm.collate_clips'))).dataset[0]
    assert calls == {'__init__': 1, 'get_frames': 1}
    assert len(clips) == 4
    spans = {clip['data_samples'].span for clip in clips}
    assert len(spans) == 4
    for clip in clips:
        sample = clip['data_samples']
        frames = clip['inputs']['video'].permute(0, 2, 3, 1).numpy()
        assert numbers_of(frames) == sample.frame_inds.tolist()
        start, end = sample.span
        assert all(start - 0.25 <= i / 4 < end for i in sample.frame_inds)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_batches_of_two_data_sets_have_the_same_number_of_clips(data, num_workers):
    init_default_scope('tvtsv2_mm')
    loader = Runner.build_dataloader(dict(
        batch_size=4, num_workers=num_workers,
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_sampler=dict(type='AlternatingBatchSampler', ratios=(1, 1)),
        collate_fn=dict(type='tvtsv2_mm.collate_clips'),
        dataset=dict(type='ConcatDataset', datasets=[
            transcripts(data, clips_per_video=2), captions(data)])))
    batches = list(loader)
    # 6 videos of transcripts are 3 batches of 2 videos; 4 of captions one batch of 4.
    assert len(batches) == len(loader) == 3
    for batch in batches:
        assert [len(part) for part in (batch['data_samples'], batch['inputs']['video'])] == [4, 4]
    names = Counter(sample.sample_id for sample in batches[0]['data_samples'])
    assert names == {'0.mp4': 2, '1.mp4': 2}
    assert len({sample.sample_id for sample in batches[1]['data_samples']}) == 4
    assert VideoTextDataPreprocessor()(batches[0])['inputs']['video'].shape == (4, 4, 3, 32, 32)


def test_skipped_videos_are_counted_in_clips(data):
    init_default_scope('tvtsv2_mm')
    np.random.seed(0)
    loader = Runner.build_dataloader(dict(
        batch_size=3, dataset=transcripts(data, clips_per_video=2),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='tvtsv2_mm.collate_clips')))
    hook, runner = SkippedSampleHook(max_share=1), type('Runner', (), {})()
    hook.before_train_epoch(runner)
    skipped = 0
    for i, batch in enumerate(loader):
        hook.after_train_iter(runner, i, batch)
        skipped += sum(len(sample.skipped) for sample in batch['data_samples'])
    used, counted = hook._sum_over_ranks()
    assert used == 12
    assert counted.total() == skipped >= 2
    assert skipped % 2 == 0
    assert set(counted) == {(str(data / '5.mp4'), 'the file is empty')}


def test_captions_are_drawn_once_before_one_comes_again(data):
    dataset = CaptionVideoDataset(
        str(data / 'captions.jsonl'), pipeline=[lambda r: r], clips_per_video=6)
    for _ in range(5):
        drawn = [clip['captions'][0] for clip in dataset[0]]
        assert sorted(drawn[:3]) == sorted(drawn[3:]) == ['a', 'b', 'c']


def test_clips_with_too_few_frames(data):
    path = write_grey_video(data / 'short.mp4', num_frames=3)
    clips = OpenVideo().transform_clips([dict(filename=path) for _ in range(2)])
    clips[0].update(frame_inds=np.array([0, 2]), num_frames=2)
    clips[1].update(frame_inds=np.array([1, 2]), num_frames=4)
    clips = DecodeClip(short_clip='black').transform_clips(clips)
    assert [numbers_of(clip['imgs']) for clip in clips] == [[0, 2], [1, 2, 0, 0]]
    assert [clip['num_valid_frames'] for clip in clips] == [2, 2]


def test_a_transform_that_drops_a_clip(data):
    dataset = CaptionVideoDataset(
        str(data / 'captions.jsonl'), pipeline=[lambda r: None], clips_per_video=2, max_refetch=1)
    with pytest.raises(RuntimeError, match='a transform of the pipeline returned None'):
        dataset[0]


def test_wrong_arguments(data):
    for options in (dict(clips_per_video=0), dict(clips_per_video=2, test_mode=True)):
        with pytest.raises(ValueError, match='clips_per_video must be at least 1, and 1 in test'):
            CaptionVideoDataset(str(data / 'captions.jsonl'), pipeline=[], **options)
    init_default_scope('tvtsv2_mm')
    with pytest.raises(ValueError, match=r'multiple of the clips_per_video of each data set, \[3'):
        Runner.build_dataloader(dict(
            batch_size=4, sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='AlternatingBatchSampler', ratios=(1, 1)),
            dataset=dict(type='ConcatDataset', datasets=[
                dict(type='RepeatDataset', times=2, dataset=transcripts(data, clips_per_video=3)),
                captions(data)])))


def test_a_loader_without_the_collate_function_is_told(data):
    clip = dict(inputs=dict(video=0))
    with pytest.raises(ValueError, match=r"collate_fn=dict\(type='tvtsv2_mm.collate_clips'\)"):
        VideoTextDataPreprocessor()([[clip, clip]])
    assert collate_clips([[dict(a=1), dict(a=2)], dict(a=3)]) == dict(a=[1, 2, 3])
