import logging
from types import SimpleNamespace

import pytest
from mmaction.structures import ActionDataSample
from mmengine.logging import MessageHub

from tests.helpers import run_ranks
from tvtsv2_mm.engine.hooks import CutTextHook


def sample(index, num_texts=1, num_cut=0):
    made = ActionDataSample()
    made.set_metainfo(dict(sample_id=f'{index}.mp4', sample_idx=index, texts=['a'] * num_texts,
                           num_cut_texts=num_cut))
    return made


def runner_of(head=None, metrics=()):
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics))
    return SimpleNamespace(
        model=SimpleNamespace(cls_head=head), test_loop=loop, val_loop=loop,
        logger=logging.getLogger('test'), message_hub=MessageHub.get_instance('cut texts'))


def run_loop(hook, runner, mode, batches):
    getattr(hook, f'before_{mode}_epoch')(runner)
    for i, batch in enumerate(batches):
        getattr(hook, f'after_{mode}_iter')(runner, i, dict(data_samples=batch))
    getattr(hook, f'after_{mode}_epoch')(runner)


def test_training_counts_each_draw_and_a_validation_within_it(caplog):
    hook, runner = CutTextHook(), runner_of()
    hook.before_train_epoch(runner)
    hook.after_train_iter(runner, 0, dict(data_samples=[sample(0, 4, 1), sample(1)]))
    run_loop(hook, runner, 'val', [[sample(0)]])
    assert not caplog.records
    hook.after_train_iter(runner, 1, dict(data_samples=[sample(0, 4, 2)]))
    hook.after_train_epoch(runner)
    assert [record.message for record in caplog.records] == [
        'train: 3 of 9 texts are longer than the context (context_length): their ends are cut off']


def test_prompts_and_bank_count_too(caplog):
    head = SimpleNamespace(classes=['a', 'b'], prompts=['{}', 'a {}', 'the {}'], num_cut_prompts=2)
    bank = SimpleNamespace(bank_texts=[0] * 7, num_cut_bank_texts=1)
    runner = runner_of(head, [SimpleNamespace(), bank])
    run_loop(CutTextHook(), runner, 'test', [[ActionDataSample(), sample(0), sample(1, 2)]])
    assert runner.message_hub.get_info('texts') == {
        'texts': dict(number=3, cut=0), 'prompts': dict(number=6, cut=2),
        'query bank texts': dict(number=7, cut=1)}
    [record] = caplog.records
    assert 'test: 2 of 6 prompts, 1 of 7 query bank texts are longer' in record.message


def check_rank(rank: int, world_size: int) -> None:
    hook, runner = CutTextHook(), runner_of()
    samples = [sample(0, 3, 1), sample(1, 3, 2), sample(2, 1, 0)]
    # Of three samples on two ranks the first comes twice.
    own = [samples[0], samples[2]] if rank == 0 else [samples[1], samples[0]]
    run_loop(hook, runner, 'test', [own])
    if rank == 0:
        assert runner.message_hub.get_info('texts') == {'texts': dict(number=7, cut=3)}


def test_padding_of_two_ranks_counts_once():
    run_ranks(2, check_rank)


@pytest.mark.parametrize('mode', ['train', 'val', 'test'])
def test_data_without_texts(mode, caplog):
    run_loop(CutTextHook(), runner_of(), mode, [[ActionDataSample()], None])
    assert not caplog.records
