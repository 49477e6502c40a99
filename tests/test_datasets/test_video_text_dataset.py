import gc
import json
import pickle
import random
import weakref
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, DefaultSampler, RepeatDataset, worker_init_fn
from torch.utils.data import ConcatDataset as ChainOfDatasets
from torch.utils.data import DataLoader

from tvtsv2_mm.datasets import CaptionVideoDataset, LabeledVideoDataset, TranscriptVideoDataset
from tvtsv2_mm.datasets.annotations import AnnotationError
from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.engine.samplers import AlternatingBatchSampler, SeededSampler


def give_up_on(*names):
    """A transform that cannot use the named videos."""

    def transform(results):
        if results['sample_id'] in names:
            raise UnusableSampleError(results['filename'], 'it is not wanted')
        return results

    return transform


@pytest.fixture
def captions(tmp_path):
    path = tmp_path / 'captions.jsonl'
    path.write_text('\n'.join(
        json.dumps({'path': f'{i}.mp4', 'captions': [f'{i} one', f'{i} two', f'{i} three']})
        for i in range(5)))
    return str(path)


def test_test_mode_gives_all_captions_and_raises(captions, tmp_path):
    (tmp_path / 'videos').mkdir()
    dataset = CaptionVideoDataset(
        captions, data_root=str(tmp_path), data_prefix=dict(video='videos'), test_mode=True,
        pipeline=[give_up_on('3.mp4')])
    assert len(dataset) == 5
    assert dataset[1]['captions'] == ['1 one', '1 two', '1 three']
    assert dataset[1]['filename'] == str(tmp_path / 'videos' / '1.mp4')
    with pytest.raises(UnusableSampleError, match=r'videos/3\.mp4: it is not wanted'):
        dataset[3]


def test_test_mode_draws_the_same_every_time(captions):
    draw = [lambda results: results['rng'].random()]
    dataset = CaptionVideoDataset(captions, test_mode=True, pipeline=draw)
    assert dataset[2] == dataset[2] != dataset[1]
    training = CaptionVideoDataset(captions, pipeline=draw)
    assert training[2] != training[2]


def test_training_draws_one_caption(captions):
    dataset = CaptionVideoDataset(captions, pipeline=[lambda results: results])
    seen = {dataset[1]['captions'][0] for _ in range(60)}
    assert seen == {'1 one', '1 two', '1 three'}
    assert len(dataset[1]['captions']) == 1


def test_training_skips_and_says_so(captions):
    dataset = CaptionVideoDataset(captions, pipeline=[give_up_on('3.mp4')])
    sample = dataset[3]
    assert sample['sample_id'] != '3.mp4'
    assert sample['skipped'][0] == dict(path='3.mp4', reason='it is not wanted')
    assert dataset[0]['skipped'] == []


def test_nothing_usable_ends_training(captions):
    dataset = CaptionVideoDataset(
        captions, pipeline=[give_up_on(*(f'{i}.mp4' for i in range(5)))], max_refetch=7)
    with pytest.raises(RuntimeError, match='8 samples in a row could not be used'):
        dataset[0]


def test_other_errors_are_not_swallowed(captions):
    dataset = CaptionVideoDataset(captions, pipeline=[lambda results: results['missing']])
    with pytest.raises(KeyError, match='missing'):
        dataset[0]


def test_transcripts(tmp_path):
    (tmp_path / 'v').mkdir()
    path = tmp_path / 'transcripts.jsonl'
    path.write_text(json.dumps(
        {'path': 'a.mp4', 'duration': 9.5, 'words': [['so', 0.1, 0.3]], 'id': 'first'}))
    sample = TranscriptVideoDataset(
        'transcripts.jsonl', data_root=str(tmp_path), data_prefix=dict(video='v'),
        pipeline=[lambda results: results])[0]
    assert sample['filename'] == str(tmp_path / 'v' / 'a.mp4')
    assert sample['sample_id'] == 'first'
    assert sample['duration'] == 9.5
    assert sample['words'] == [['so', 0.1, 0.3]]
    assert 'segments' not in sample


def test_labels_and_answers(tmp_path):
    (tmp_path / 'list.txt').write_text('a.mp4 3\n')
    dataset = LabeledVideoDataset(
        str(tmp_path / 'list.txt'), pipeline=[lambda results: results], test_mode=True)
    assert dataset[0]['label'] == 3
    (tmp_path / 'choice.jsonl').write_text(
        json.dumps({'path': 'a.mp4', 'captions': ['x', 'y'], 'answer': 1}))
    dataset = CaptionVideoDataset(
        str(tmp_path / 'choice.jsonl'), pipeline=[lambda results: results], test_mode=True)
    assert dataset[0]['gt_label'] == 1


def test_missing_annotation_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='no annotation file'):
        CaptionVideoDataset(str(tmp_path / 'none.jsonl'), pipeline=[])


def test_a_missing_folder_of_videos(captions, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no folder .*none of the videos'):
        CaptionVideoDataset(captions, data_prefix=dict(video=str(tmp_path / 'none')))
    with pytest.raises(ValueError, match=r'dict\(video=FOLDER\), got .*videos'):
        CaptionVideoDataset(captions, data_prefix=dict(videos=str(tmp_path)))


def test_training_takes_the_right_caption_of_a_choice(tmp_path):
    path = tmp_path / 'choice.jsonl'
    path.write_text(json.dumps({'path': 'a.mp4', 'captions': ['x', 'y', 'z'], 'answer': 1}))
    dataset = CaptionVideoDataset(str(path), pipeline=[lambda results: results])
    for _ in range(10):
        assert dataset[0]['captions'] == ['y']
    assert 'gt_label' not in dataset[0]


def test_parts_of_a_video_are_samples_of_their_own(tmp_path):
    path = tmp_path / 'parts.jsonl'
    records = [dict(start=2.0, end=7.5), dict(start=2.0), dict(end=7.5), {}, dict(end=3, id='me')]
    path.write_text('\n'.join(
        json.dumps({'path': 'a.mp4', 'captions': ['x']} | part) for part in records))
    dataset = CaptionVideoDataset(str(path), pipeline=[lambda results: results])
    assert [sample['sample_id'] for sample in dataset] == [
        'a.mp4#t=2.0,7.5', 'a.mp4#t=2.0', 'a.mp4#t=,7.5', 'a.mp4', 'me']
    assert (dataset[0]['start'], dataset[0]['end'], dataset[0]['filename']) == (2.0, 7.5, 'a.mp4')


def test_a_bad_line_stops_the_building_or_the_reading(tmp_path):
    path = tmp_path / 'captions.jsonl'
    path.write_text('{"path": "a.mp4", "captions": ["x"]}\n{"path": "b.mp4"}')
    with pytest.raises(AnnotationError, match=r'captions\.jsonl, line 2: "captions"'):
        CaptionVideoDataset(str(path))
    dataset = CaptionVideoDataset(str(path), check_all=False, pipeline=[lambda results: results])
    assert dataset[0]['captions'] == ['x']
    with pytest.raises(AnnotationError, match=r'captions\.jsonl, line 2: "captions"'):
        dataset[1]


@pytest.mark.parametrize('test_mode', [True, False])
def test_what_a_transform_drops_is_never_dropped_in_silence(captions, test_mode):
    def drop(results):
        return None if results['sample_id'] == '3.mp4' else results

    dataset = CaptionVideoDataset(captions, pipeline=[drop], test_mode=test_mode)
    if test_mode:
        with pytest.raises(UnusableSampleError, match=r'3\.mp4: a transform .* returned None'):
            dataset[3]
    else:
        assert dataset[3]['skipped'][0]['path'] == '3.mp4'


def test_transforms_are_found_by_name_in_any_scope(captions):
    dataset = CaptionVideoDataset(captions, pipeline=[dict(type='SampleClipFrames', num_frames=5)])
    assert dataset.pipeline.transforms[0].num_frames == 5


@pytest.mark.parametrize('options', [
    dict(serialize_data=False), dict(lazy_init=True), dict(indices=[0, 1, 2, 3, 4])])
def test_the_options_of_base_dataset(captions, options):
    keep = [lambda results: results['captions']]
    usual = CaptionVideoDataset(captions, pipeline=keep, test_mode=True)
    other = CaptionVideoDataset(captions, pipeline=keep, test_mode=True, **options)
    assert [other[i] for i in range(5)] == [usual[i] for i in range(5)]
    assert usual.get_subset([3, 1])[0] == usual[3]
    assert usual.get_data_info(2)['sample_idx'] == 2


def test_nothing_is_kept_of_a_subset(captions):
    """Else a later subset takes it for what now lies at the same place in memory."""
    subset = CaptionVideoDataset(captions).get_subset([1])
    kept = weakref.ref(subset)
    del subset
    gc.collect()
    assert kept() is None


def test_texts_do_not_stay_in_memory(tmp_path):
    path = tmp_path / 'captions.jsonl'
    path.write_text('\n'.join(
        json.dumps({'path': f'{i}.mp4', 'captions': ['a very long caption ' * 500]})
        for i in range(20)))
    dataset = CaptionVideoDataset(str(path))
    assert len(pickle.dumps(dataset)) < 10_000 < path.stat().st_size


def draw(results: dict) -> dict:
    return results['sample_id'], results['rng'].random()


def epoch(dataset, num_workers: int) -> list[float]:
    np.random.seed(5)
    loader = DataLoader(dataset, num_workers=num_workers, collate_fn=list, worker_init_fn=partial(
        worker_init_fn, num_workers=num_workers, rank=0, seed=5))
    return [number for batch in loader for _, number in batch]


def test_epochs_draw_differently(captions):
    dataset = CaptionVideoDataset(captions, pipeline=[draw])
    first, second = epoch(dataset, 2), epoch(dataset, 2)
    assert len({*first, *second}) == 10


def test_ranks_draw_differently(captions, monkeypatch):
    numbers = []
    for rank in (0, 1, 0):
        monkeypatch.setattr('tvtsv2_mm.datasets.video_text_dataset.get_rank', lambda r=rank: r)
        numbers.append(epoch(CaptionVideoDataset(captions, pipeline=[draw]), 0))
    assert numbers[0] == numbers[2]
    assert not set(numbers[0]) & set(numbers[1])


def draw_as_others(results: dict) -> tuple:
    """As transforms of MMAction2 and torchvision do."""
    return results['sample_id'], (random.random(), np.random.random(), torch.rand(()).item())


@pytest.mark.parametrize(('workers', 'transform'), [
    (1, draw), (3, draw), (2, draw_as_others)])
def test_our_samplers_draw_the_same_with_any_number_of_workers(captions, workers, transform):
    def epochs(num_workers):
        """Two epochs of a joint data set, in one loader as a run has it."""
        dataset = CaptionVideoDataset(captions, pipeline=[transform])
        joint = ChainOfDatasets([RepeatDataset(dataset, times=3), dataset])
        sampler = SeededSampler(joint, seed=2)
        loader = DataLoader(joint, num_workers=num_workers, collate_fn=list, sampler=sampler,
                            persistent_workers=num_workers > 0)
        seen = []
        for number in range(2):
            sampler.set_epoch(number)
            seen += [sample for batch in loader for sample in batch]
        return seen

    alone = epochs(0)
    assert epochs(workers) == alone
    assert len({number for _, number in alone}) == 40  # each time another draw


def test_the_global_generators_go_on_behind_a_sample(captions):
    def draws():
        return draw_as_others(dict(sample_id=''))

    def after(work):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        work()
        return draws()

    evaluation = CaptionVideoDataset(captions, pipeline=[draw_as_others], test_mode=True)
    assert after(lambda: evaluation[0]) == after(lambda: None)
    assert evaluation[0] == evaluation[0] != evaluation[1]


def test_what_replaces_a_skipped_sample_does_not_depend_on_the_workers(captions):
    def epoch(num_workers):
        dataset = ConcatDataset([CaptionVideoDataset(
            captions, pipeline=[give_up_on('1.mp4', '3.mp4'), draw])] * 2)
        batches = AlternatingBatchSampler(
            sampler=DefaultSampler(dataset, seed=2), batch_size=2)
        return list(DataLoader(dataset, num_workers=num_workers, collate_fn=list,
                               batch_sampler=batches))

    assert epoch(0) == epoch(2)
