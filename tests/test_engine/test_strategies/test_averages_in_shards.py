"""mmengine's EMAHook on two gloo ranks: in shards against DDP, and against itself resumed.

The clips are masked by tubes; captions and transcripts come in turn.
"""

import os
import time

import pytest
import torch
from mmengine.logging import MessageHub
from torch.distributed.tensor import DTensor

from tests.helpers import run_ranks
from tests.test_engine.test_strategies.test_fully_shard_strategy import build, whole
from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint
from tvtsv2_mm.engine.strategies.fully_shard_strategy import gathers_again
from tvtsv2_mm.engine.strategies.shards import WeightsAlone

HOOKS = [dict(type='ResumeDataHook'), dict(type='LossesOfStrategyTest')]
DDP = dict(runner_type='Runner', model_wrapper_cfg=dict(
    type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None))
AVERAGED = dict(custom_hooks=[*HOOKS, dict(type='EMAHook', momentum=0.3)])


def train(work_dir, **options):
    runner = build(work_dir, **AVERAGED | options)
    runner.train()
    return found_in(runner)


def found_in(runner):
    record = record_of(runner)
    [own] = [hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook']
    scalars = MessageHub.get_current_instance().log_scalars
    averages = own.ema_model.module
    return dict(
        losses=record.losses, validated=torch.stack(record.validated),
        steps=own.ema_model.steps.item(),
        weights=whole(getattr(runner.model, 'module', runner.model)), averages=whole(averages),
        metrics={name: buffer.data[0].tolist() for name, buffer in scalars.items()
                 if name.startswith(('val/t2v', 'val/v2t'))},
        held=sum(value.to_local().numel() if isinstance(value, DTensor) else value.numel()
                 for value in averages.parameters()))


def record_of(runner):
    [record] = [hook for hook in runner.hooks if type(hook).__name__ == 'LossesOfStrategyTest']
    return record


def two_ranks(rank, world_size, folder):
    time.sleep = lambda _: None  # of mmengine, between epochs
    os.environ['LOCAL_RANK'] = str(rank)
    there = dict(launcher='pytorch')
    runs = dict(ddp=train(folder / 'ddp', **DDP, **there),
                sharded=train(folder / 'sharded', **there))
    there['resume'] = True
    runs['resumed'] = train(
        folder / 'resumed', load_from=str(folder / 'sharded' / 'iter_6.pth'), **there)
    runs['from_ddp'] = train(
        folder / 'from_ddp', load_from=str(folder / 'ddp' / 'iter_4.pth'), **there)
    runs['from_one'] = train(
        folder / 'from_one', load_from=str(folder / 'one' / 'iter_4.pth'), **there)
    if gathers_again():
        runs['parts'] = train(
            folder / 'parts', model=dict(micro_batch_size=1), strategy=dict(
                gather_once=True, activation_checkpointing=True),
            load_from=str(folder / 'sharded' / 'iter_4.pth'), **there)
    torch.save(runs, folder / f'runs_{rank}.pth')


# All tests of it are marked slow: the first one waits for it.
@pytest.fixture(scope='module', params=[pytest.param('', marks=pytest.mark.slow, id='slow')])
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('runs')


@pytest.fixture(scope='module')
def runs(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('time.sleep', lambda _: None)
        one = dict(train_dataloader=dict(batch_size=4))  # the batches of two ranks at once
        runs = dict(one=train(folder / 'one', **one))
        run_ranks(2, two_ranks, folder)
        runs['to_one'] = train(folder / 'to_one', resume=True, **one,
                               load_from=str(folder / 'sharded' / 'iter_4.pth'))
    own, other = (torch.load(folder / f'runs_{rank}.pth') for rank in range(2))
    for name, run in own.items():
        for key, value in run['averages'].items():
            assert torch.equal(value, other[name]['averages'][key]), (name, key)
    return own | runs


def assert_close(run, other, tolerance=1e-5):
    assert run['steps'] == other['steps'] == 8
    for mine, their in zip(run['losses'], other['losses'][-len(run['losses']):], strict=True):
        # The others are of a rank's own clips alone.
        assert mine['loss_contrastive'] == pytest.approx(
            their['loss_contrastive'], abs=tolerance)
    for key in ('weights', 'averages'):
        assert run[key].keys() == other[key].keys()
        for name, value in run[key].items():
            torch.testing.assert_close(value, other[key][name], atol=tolerance, rtol=0)
    assert run['metrics'] == other['metrics']


def test_the_averages_and_validations_of_ddp(runs):
    sharded, ddp = runs['sharded'], runs['ddp']
    assert_close(sharded, ddp)
    torch.testing.assert_close(sharded['validated'], ddp['validated'], atol=1e-5, rtol=0)
    assert len(sharded['metrics']) > 3
    assert sharded['held'] < 0.52 * ddp['held']
    difference = max((value - sharded['weights'][name]).abs().max()
                     for name, value in sharded['averages'].items())
    assert difference > 1e-3


def test_resumed_to_the_bit(runs):
    """From the middle of the second epoch."""
    resumed, sharded = runs['resumed'], runs['sharded']
    assert resumed['losses'] == sharded['losses'][6:]
    assert resumed['steps'] == sharded['steps']
    assert resumed['metrics'] == sharded['metrics']
    assert torch.equal(resumed['validated'], sharded['validated'][-len(resumed['validated']):])
    for key in ('weights', 'averages'):
        for name, value in resumed[key].items():
            assert torch.equal(value, sharded[key][name]), (key, name)


@pytest.mark.parametrize('name', ['to_one', 'from_one', 'from_ddp', 'parts'])
def test_resumed_on_others_and_in_micro_batches(runs, name):
    if name in runs or gathers_again():
        assert_close(runs[name], runs['sharded'])


def test_a_test_takes_the_averages_with_and_without_the_hook(runs, folder, tmp_path):
    embeds = []
    for number, options in ((6, AVERAGED), (8, AVERAGED), (8, dict(custom_hooks=HOOKS))):
        runner = build(tmp_path, load_from=str(folder / 'one' / f'iter_{number}.pth'), **options)
        runner.test()
        embeds.append(record_of(runner).validated)
    for one, other in zip(embeds[1], embeds[2], strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(torch.stack(embeds[1]), runs['one']['validated'][-6:])
    assert not torch.allclose(torch.stack(embeds[0]), torch.stack(embeds[1]), atol=1e-3)


@pytest.mark.parametrize(('weights', 'expected'), [
    (None, 'averages'), ('ema', 'averages'), ('ema_state_dict', 'weights')])
def test_the_folder_is_converted(runs, folder, tmp_path, weights, expected):
    checkpoint = folder / 'sharded' / 'iter_8.pth'
    convert_checkpoint(checkpoint, tmp_path / 'whole.safetensors', weights=weights)
    found = read_state_dict(tmp_path / 'whole.safetensors')
    for name, value in runs['sharded'][expected].items():
        assert torch.equal(found[name], value), name
    [note] = inspect_checkpoint(checkpoint, weights=weights).report['notes']
    assert note.startswith('state_dict holds averaged weights')


def one_rank(rank, world_size, folder):
    os.environ['LOCAL_RANK'], embeds = str(rank), {}
    for name, averaged in dict(swa=dict(ema_type='StochasticWeightAverage'),
                               later=dict(begin_iter=3, update_buffers=True)).items():
        hooks = [*HOOKS, dict(type='EMAHook', **averaged)]
        options = dict(custom_hooks=hooks, train_cfg=dict(max_epochs=1), launcher='pytorch')
        sharded = train(folder / name, **options)
        ddp = train(folder / f'ddp_{name}', **DDP, **options)
        for key, value in ddp['averages'].items():
            torch.testing.assert_close(sharded['averages'][key], value, atol=1e-5, rtol=0)
        embeds[name] = list(ddp['validated'])
    runner = build(folder / 'test', load_from=str(folder / 'ddp_swa' / 'iter_8.pth'), **options)
    runner.test()
    ours, theirs = whole(runner.model), found_in(runner)['averages']
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())
    torch.testing.assert_close(record_of(runner).validated, embeds['swa'])


@pytest.mark.slow
def test_every_kind_of_average_and_a_file_as_load_from(tmp_path):
    run_ranks(1, one_rank, tmp_path)


def test_a_copy_has_the_weights_alone():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3),
                                torch.nn.Linear(3, 3))
    model[2].weight = model[0].weight
    copy = WeightsAlone(model, {})
    assert [name for name, _ in copy.named_parameters()] == [
        name for name, _ in model.named_parameters()]
    assert [name for name, _ in copy.named_buffers()] == [name for name, _ in model.named_buffers()]
    own, there = copy.state_dict(), model.state_dict()
    assert list(own) == list(there)
    assert copy.get_parameter('2.weight') is copy.get_parameter('0.weight')
    with torch.no_grad():
        model[0].weight.zero_()
    assert own['0.weight'].any()
    copy.load_state_dict(there)
    assert not own['0.weight'].any()
