import json

import pytest

from tvtsv2_mm.datasets import CaptionVideoDataset, LabeledVideoDataset, TranscriptVideoDataset
from tvtsv2_mm.datasets.errors import UnusableSampleError


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


def test_test_mode_gives_all_captions_and_raises(captions):
    dataset = CaptionVideoDataset(
        captions, data_prefix=dict(video='videos'), test_mode=True,
        pipeline=[give_up_on('3.mp4')])
    assert len(dataset) == 5
    assert dataset[1]['captions'] == ['1 one', '1 two', '1 three']
    assert dataset[1]['filename'] == 'videos/1.mp4'
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
