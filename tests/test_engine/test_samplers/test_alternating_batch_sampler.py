from types import SimpleNamespace

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset, DefaultSampler, InfiniteSampler
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

from tvtsv2_mm.engine.samplers import AlternatingBatchSampler
from tvtsv2_mm.engine.samplers.alternating_batch_sampler import turn_order


@DATASETS.register_module()
class NumbersForSamplerTest(BaseDataset):

    def __init__(self, size, name):
        self.size, self.name = size, name
        super().__init__(serialize_data=False)

    def load_data_list(self):
        return [dict(name=self.name, number=i) for i in range(self.size)]


def concat(*sizes):
    return ConcatDataset([NumbersForSamplerTest(size, i) for i, size in enumerate(sizes)])


def make(sizes=(20, 9), rank=0, world_size=1, epoch=0, seed=0, shuffle=True, **kwargs):
    sampler = DefaultSampler(concat(*sizes), shuffle=shuffle, seed=seed)
    sampler.rank, sampler.world_size = rank, world_size
    sampler.set_epoch(epoch)
    return AlternatingBatchSampler(sampler=sampler, **(dict(batch_size=2) | kwargs))


def sources(batches, first_size):
    found = []
    for batch in batches:
        kinds = {int(index >= first_size) for index in batch}
        assert len(kinds) == 1, f'a mixed batch: {batch}'
        found.append(kinds.pop())
    return found


def test_one_batch_of_each_in_turn_until_the_first_runs_out():
    sampler = make()
    batches = list(sampler)
    assert sources(batches, 20) == [0, 1, 0, 1, 0, 1, 0, 1, 0]  # 4 batches in 9 samples
    assert len(sampler) == len(batches) == 9
    assert all(len(batch) == 2 for batch in batches)


@pytest.mark.parametrize(('sizes', 'ratios', 'length'), [
    ((20, 20), (1, 1), 20), ((20, 20), (3, 1), 13), ((20, 20), (1, 3), 14),
    ((40, 4), (1, 1), 5), ((7, 7, 7), (1, 1, 1), 9), ((9, 6), (2, 1), 6), ((20,), (1,), 10),
])
def test_length_is_exact(sizes, ratios, length):
    sampler = make(sizes, ratios=ratios)
    assert len(sampler) == len(list(sampler)) == length


def test_ratios():
    found = sources(make((40, 40), ratios=(3, 1)), 40)
    assert found[:8] == [0, 0, 1, 0] * 2
    assert turn_order((2, 2)) == [0, 1, 0, 1]


def test_nothing_is_repeated_in_an_epoch_and_all_is_used():
    drawn = [index for batch in make((20, 20)) for index in batch]
    assert sorted(drawn) == list(range(40))


def test_ranks_take_the_same_source_and_different_samples():
    batches = [list(make((21, 20), rank=rank, world_size=2)) for rank in range(2)]
    assert len(batches[0]) == len(batches[1]) == 10
    assert sources(batches[0], 21) == sources(batches[1], 21)
    drawn = [index for rank in batches for batch in rank for index in batch]
    assert len(drawn) == len(set(drawn)) == 40


def test_epochs_and_seeds_shuffle_anew_and_are_repeatable():
    first = list(make(epoch=1, seed=3))
    assert list(make(epoch=1, seed=3)) == first
    assert list(make(epoch=2, seed=3)) != first
    assert list(make(epoch=1, seed=4)) != first
    sampler = make(epoch=0, seed=3)
    sampler.sampler.set_epoch(1)
    assert list(sampler) == first


def test_without_shuffling_the_order_is_that_of_the_data():
    assert list(make((4, 4), shuffle=False)) == [[0, 1], [4, 5], [2, 3], [6, 7]]
    assert next(iter(make((8, 8), shuffle=False, rank=1, world_size=2))) == [1, 3]


def test_in_the_loader_that_a_runner_builds():
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        loader = Runner.build_dataloader(dict(
            batch_size=3, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='AlternatingBatchSampler', ratios=(1, 1)),
            dataset=dict(type='ConcatDataset', datasets=[
                dict(type='mmengine.NumbersForSamplerTest', size=12, name='transcripts'),
                dict(type='mmengine.NumbersForSamplerTest', size=9, name='captions')])), seed=1)
    names = [set(batch['name']) for batch in loader]
    assert len(loader) == 7
    assert names == [{'transcripts'}, {'captions'}] * 3 + [{'transcripts'}]


def test_another_sampler():
    with pytest.raises(TypeError, match='InfiniteSampler has no epoch'):
        AlternatingBatchSampler(sampler=InfiniteSampler(concat(4, 4)), batch_size=2)


def test_one_data_set():
    sampler = DefaultSampler(NumbersForSamplerTest(4, 'a'), seed=0)
    with pytest.raises(TypeError, match='got NumbersForSamplerTest'):
        AlternatingBatchSampler(sampler=sampler, batch_size=2)
    fake = SimpleNamespace(dataset=[1, 2])
    with pytest.raises(TypeError, match='has no rank'):
        AlternatingBatchSampler(sampler=fake, batch_size=2)


@pytest.mark.parametrize(('kwargs', 'message'), [
    (dict(ratios=(1, 1, 1)), r'each of the 2 data sets, got \(1, 1, 1\)'),
    (dict(ratios=(1, 0)), r'got \(1, 0\)'),
    (dict(ratios=(1, 1.5)), r'got \(1, 1\.5\)'),
    (dict(batch_size=0), 'batch_size'),
    (dict(batch_size=5, world_size=2), r'\[20, 9\].*batch of 5 clips on each of 2 ranks'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


def test_without_ratios_an_epoch_takes_every_full_batch():
    sampler = make((21, 5), ratios=None)
    assert sampler.ratios == (10, 2)
    found = sources(list(sampler), 21)
    assert len(found) == 12 and found.count(1) == 2
    assert 0 < found.index(1) < 6  # spread, not at the end


def test_a_small_data_set_gives_smaller_batches():
    batches = list(make((20, 3), ratios=None, batch_size=5, shrink=True))
    assert sorted(map(len, batches)) == [3, 5, 5, 5, 5]
    for rank in range(2):
        [batch] = make((5, ), ratios=None, batch_size=4, shrink=True, rank=rank, world_size=2)
        assert len(batch) == 2


@pytest.mark.parametrize(('size', 'world_size'), [(1, 1), (3, 2)])
def test_one_video_has_nothing_to_be_told_from(size, world_size):
    with pytest.raises(ValueError, match=f'{size} videos cannot be trained on'):
        make((size, ), ratios=None, batch_size=5, shrink=True, world_size=world_size)
