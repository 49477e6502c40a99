import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, DefaultSampler
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from tvtsv2_mm.datasets import ShardedCaptionDataset, ShardedTranscriptDataset
from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.transforms import SampleClipFrames
from tvtsv2_mm.engine.samplers import ShardBatchSampler

COUNTS = (7, 1, 12, 3, 9, 8)  # 40 samples


def keep(results):
    """What a test looks at: which sample, its bytes, what it draws, what was skipped."""
    return dict(id=results['sample_id'], size=len(results['video_bytes']),
                drawn=int(results['rng'].integers(1 << 40)), text=results['captions'][0],
                label=results['filename'], skipped=list(results['skipped']))


def make_loader(index, *, rank=0, ranks=1, workers=0, epoch=0, batch_size=2, pipeline=(keep,),
                start=(0, 0), shuffle=True, place=None, **options):
    dataset = ShardedCaptionDataset(index, pipeline=list(pipeline), place=place)
    sampler = DefaultSampler(dataset, shuffle=shuffle, seed=3)
    sampler.rank, sampler.world_size = rank, ranks
    sampler.set_epoch(epoch)
    batches = ShardBatchSampler(sampler=sampler, batch_size=batch_size,
                                **(dict(num_streams=6, shuffle_buffer=30) | options))
    batches.start = start
    return DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=list)


def read(index, **options):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return list(make_loader(index, **options))


def ids(batches):
    return [sample['id'] for batch in batches for sample in batch]


@pytest.mark.parametrize('workers', [0, 1, 3])
@pytest.mark.parametrize('ranks', [1, 2])
def test_each_sample_comes_once(write_shards, ranks, workers):
    index = write_shards(*COUNTS)
    parts = [read(index, rank=rank, ranks=ranks, workers=workers) for rank in range(ranks)]
    seen = [name for part in parts for name in ids(part)]
    assert sorted(seen) == sorted(f'{i}.mp4' for i in range(40))
    assert len({len(part) for part in parts}) == 1
    for sample in parts[0][0]:
        number = int(sample['id'].split('.')[0])
        assert (sample['size'], sample['text']) == (number, f'corpus {number}')
        assert sample['label'].endswith(f'.tar::{number:04d}')


@pytest.mark.parametrize('workers', [1, 2, 3, 4])
def test_the_same_batches_whatever_the_number_of_workers(write_shards, workers):
    """4 workers do not divide 6 streams: slower, and still the same."""
    index = write_shards(*COUNTS)
    assert read(index, workers=workers) == read(index, workers=0)


def test_a_number_of_workers_that_costs_is_told(write_shards, monkeypatch):
    """The samples stay the same, as the test above shows."""
    monkeypatch.setattr('tvtsv2_mm.datasets.shards.sharded_dataset.get_worker_info',
                        lambda: SimpleNamespace(id=0, num_workers=4))
    loader = make_loader(write_shards(*COUNTS))
    batches = list(loader.batch_sampler)
    for index in batches[0]:
        loader.dataset[index]
    with pytest.warns(UserWarning, match='4 loader workers do not divide num_streams'):
        loader.dataset[batches[6][1]]


def test_a_resumed_epoch_goes_on_at_the_exact_sample(write_shards):
    index = write_shards(*COUNTS)
    whole = read(index, epoch=5)
    for batch in (1, 7, 19, 20):
        for workers in (0, 3):
            assert read(index, epoch=5, start=(5, batch), workers=workers) == whole[batch:]
    assert read(index, epoch=6, start=(5, 7)) == read(index, epoch=6)


def test_epochs_and_ranks_are_shuffled_anew_and_draw_anew(write_shards):
    index = write_shards(*COUNTS)
    first, second = read(index, epoch=0), read(index, epoch=1)
    assert ids(first) != ids(second)
    assert ids(first) != [f'{i}.mp4' for i in range(40)]
    drawn = [s['drawn'] for batch in first + second for s in batch]
    assert len(set(drawn)) == 80
    by_id = {s['id']: s['drawn'] for batch in first for s in batch}
    # A sample's draws do not depend on the number of ranks either.
    for batch in read(index, rank=1, ranks=2):
        for sample in batch:
            assert by_id[sample['id']] == sample['drawn']


def open_numbers(results):
    """A video of 50 frames, of whatever bytes."""
    return results | dict(video_reader=SimpleNamespace(
        num_frames=50, frame_starts=np.arange(50) / 10, duration=5.0))


def test_frames_are_shuffled_by_the_name_as_those_of_a_file(write_shards):
    """However many workers and ranks there are, and in each epoch."""
    transform = SampleClipFrames(num_frames=6, mode='middle', frames='shuffled')
    files = {f'{i}.mp4': transform.transform(open_numbers(dict(
        filename=f'videos/{i}.mp4', sample_id=f'{i}.mp4')))['frame_inds'].tolist()
        for i in range(40)}
    index = write_shards(*COUNTS)
    for options in (dict(), dict(workers=2, epoch=1), dict(rank=1, ranks=2)):
        read_so = read(index, pipeline=(open_numbers, transform, keep_frames), **options)
        assert {name: inds for batch in read_so for name, inds in batch}.items() <= files.items()
    assert len({tuple(inds) for inds in files.values()}) > 30


def keep_frames(results):
    return results['sample_id'], results['frame_inds'].tolist()


def test_the_buffer_mixes_shards(write_shards):
    index = write_shards(50, 50, 50, 50)
    batches = read(index, num_streams=1, shuffle_buffer=100, batch_size=10)
    shards = [{s['label'].split('.')[0] for s in batch} for batch in batches]
    assert sum(len(kinds) > 1 for kinds in shards) > 10


def test_without_shuffling_the_order_is_that_of_the_shards(write_shards):
    index = write_shards(*COUNTS)
    assert ids(read(index, shuffle=False, num_streams=1)) == [f'{i}.mp4' for i in range(40)]


@pytest.mark.parametrize(('ranks', 'drop_last', 'used', 'last'), [
    (1, False, 32, 2), (2, False, 32, 1), (3, False, 30, 5), (1, True, 30, 5), (3, True, 30, 5)])
def test_ranks_end_together_and_say_what_is_left_out(
        write_shards, ranks, drop_last, used, last):
    """32 samples, or with 3 ranks 30 of them."""
    index = write_shards(20, 12)
    parts = [read(index, rank=r, ranks=ranks, batch_size=5, drop_last=drop_last)
             for r in range(ranks)]
    sizes = [[len(batch) for batch in part] for part in parts]
    assert all(own == sizes[0] for own in sizes)
    assert sizes[0][-1] == last
    seen = [name for part in parts for name in ids(part)]
    assert len(seen) == len(set(seen)) == used


def test_what_is_left_out_is_logged_and_changes(write_shards, monkeypatch):
    said = []
    monkeypatch.setattr('tvtsv2_mm.engine.samplers.shard_batch_sampler.print_log',
                        lambda message, **_: said.append(message))
    index = write_shards(20, 12)
    left = [{f'{i}.mp4' for i in range(32)} - set(ids(read(
        index, epoch=epoch, drop_last=True, batch_size=5))) for epoch in range(4)]
    assert [len(names) for names in left] == [2] * 4
    assert len(set.union(*left)) > 2
    assert '30 of its 32 samples, 2 are left out, others each time' in said[0]


def test_several_data_sets_in_turn(write_shards):
    first, second = write_shards(20, 12, name='a'), write_shards(9, 7, name='b')

    def epoch(rank, workers):
        with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
            dataset = ConcatDataset([
                dict(type='ShardedCaptionDataset', index=path, pipeline=[keep])
                for path in (first, second)])
        sampler = DefaultSampler(dataset, seed=3)
        sampler.rank, sampler.world_size = rank, 2
        batches = ShardBatchSampler(
            sampler=sampler, batch_size=2, ratios=(2, 1), num_streams=6, shuffle_buffer=20)
        assert batches.describe()['batches'] == 12
        return list(DataLoader(dataset, batch_sampler=batches, num_workers=workers,
                               collate_fn=list))

    parts = [epoch(rank, 0) for rank in range(2)]
    names = [[{s['text'].split()[0] for s in batch} for batch in part] for part in parts]
    assert names[0] == names[1] == [{'a'}, {'b'}, {'a'}] * 4
    seen = [s['text'] for part in parts for batch in part for s in batch]
    assert len(seen) == len(set(seen)) == 48
    assert epoch(0, 3) == parts[0]


def test_a_sample_that_cannot_be_used_is_replaced_and_told(write_shards):
    def give_up(results):
        if results['sample_id'] in ('3.mp4', '39.mp4'):
            raise UnusableSampleError(results['filename'], 'it is not wanted')
        return results

    index = write_shards(*COUNTS)
    batches = read(index, pipeline=[give_up, keep])
    samples = [s for batch in batches for s in batch]
    assert len(samples) == 40
    assert {s['id'] for s in samples} == {f'{i}.mp4' for i in range(40)} - {'3.mp4', '39.mp4'}
    assert {r['path'] for s in samples for r in s['skipped']} == {'0.tar::0003', '5.tar::0039'}
    assert read(index, pipeline=[give_up, keep], workers=3) == batches
    assert read(index, pipeline=[give_up, keep], start=(0, 9)) == batches[9:]


@pytest.mark.parametrize('damage', ['cut', 'garbage', 'gone', 'emptied'])
def test_a_damaged_shard_is_told_sample_by_sample(write_shards, damage):
    index = write_shards(*COUNTS)
    path = Path(index).with_name('2.tar')
    content = path.read_bytes()
    if damage == 'cut':
        path.write_bytes(content[:9000])
    elif damage == 'garbage':
        path.write_bytes(b'\x07' * 9000)
    elif damage == 'emptied':
        path.write_bytes(b'')
    else:
        path.unlink()
    samples = [s for batch in read(index) for s in batch]
    skipped = [r for s in samples for r in s['skipped']]
    assert len(samples) == 40
    lost = 12 - len({s['label'] for s in samples if s['label'].startswith('2.tar')})
    assert len({r['path'] for r in skipped}) == lost == (8 if damage == 'cut' else 12)
    assert all(r['path'].startswith('2.tar::sample ') for r in skipped)
    assert all('shard' in r['reason'] for r in skipped)


def test_records_that_do_not_fit(write_shards):
    index = write_shards(3)
    content = json.loads(Path(index).read_text())
    Path(index).write_text(json.dumps(content | dict(kind='transcripts')))
    dataset = ShardedTranscriptDataset(index, pipeline=[lambda results: results])
    sampler = ShardBatchSampler(sampler=DefaultSampler(dataset, seed=0), batch_size=1)
    with pytest.raises(RuntimeError, match=r'101 samples in a row .*its \.json does not fit: unkn'):
        dataset[next(iter(sampler))[0]]
    with pytest.raises(ValueError, match='lists shards of transcripts, but ShardedCaptionDataset'):
        ShardedCaptionDataset(index)


def test_shards_behind_an_url(write_shards):
    index = write_shards(*COUNTS)
    folder = str(Path(index).parent)
    expected = read(index)
    assert read(index, place=f'pipe:cat {folder}/{{}}') == expected
    assert read(f'file:{index}', place=f'file:{folder}') == expected
    samples = [s for batch in read(index, place=f'pipe:cat {folder}/{{}} | head -c 3000')
               for s in batch]
    reasons = {r['reason'] for s in samples for r in s['skipped']}
    assert 'the shard cannot be read (ReadError: unexpected end of data)' in reasons


def test_wrong_use(write_shards, tmp_path):
    index = write_shards(*COUNTS)
    dataset = ShardedCaptionDataset(index)
    assert len(dataset) == 40
    with pytest.raises(TypeError, match='ShardBatchSampler'):
        dataset[3]
    with pytest.raises(FileNotFoundError, match=r'no index of shards .*none\.json'):
        ShardedCaptionDataset(str(tmp_path / 'none.json'))
    (tmp_path / 'other.json').write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r'other\.json is no index of shards'):
        ShardedCaptionDataset(str(tmp_path / 'other.json'))
    sampler = DefaultSampler(np.arange(4), seed=0)
    with pytest.raises(TypeError, match='got ndarray'):
        ShardBatchSampler(sampler=sampler, batch_size=2)
    with pytest.raises(ValueError, match='40 samples for 41 ranks'):
        make_loader(index, ranks=41)
