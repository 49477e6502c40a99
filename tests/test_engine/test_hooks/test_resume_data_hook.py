import io
import json
import random
import shutil
import tarfile
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS, DefaultScope
from mmengine.runner import Runner
from torch import nn

import tvtsv2_mm  # noqa: F401 (its mends, in the processes of run_ranks too)
from tests.helpers import run_ranks
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.engine.hooks.resume_data_hook import ResumeDataHook


@MODELS.register_module()
class ModelOfResumeTest(BaseModel):
    """Its only weight adds up what it saw, so that two runs are told apart."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, inputs, mode='tensor'):
        return dict(loss=(self.weight * torch.stack(inputs)).sum())


@DATASETS.register_module()
class NumbersOfResumeTest(BaseDataset):
    """A map-style data set whose samples depend on the draw."""

    def __init__(self, size):
        self.size = size
        super().__init__(serialize_data=False)

    def load_data_list(self):
        return [dict(number=i) for i in range(self.size)]

    def __getitem__(self, index):
        rng = np.random.default_rng(getattr(index, 'draw', None))
        return dict(inputs=torch.tensor(rng.random()))


class Stop(Exception):
    pass


@HOOKS.register_module()
class RecordOfResumeTest(Hook):
    """Writes down what each step saw and might have drawn, and stops at one."""

    priority = 'LOWEST'

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        drawn = random.random(), np.random.random(), torch.rand(()).item()
        self.seen.append((runner.epoch, [float(value) for value in data_batch['inputs']], drawn))
        if runner.iter + 1 == self.stop_at:
            raise Stop


def tensor(results):
    return dict(inputs=torch.tensor(results['rng'].random() + len(results['video_bytes'])))


@pytest.fixture
def index(tmp_path):
    counts = (5, 2, 8, 6)
    for shard, count in enumerate(counts):
        with tarfile.open(tmp_path / f'{shard}.tar', 'w') as tar:
            for number in range(count):
                text = json.dumps(dict(path=f'{shard}-{number}.mp4', captions=['x'])).encode()
                for ending, value in (('mp4', b'x' * (10 * shard + number)), ('json', text)):
                    info = tarfile.TarInfo(f'{number}.{ending}')
                    info.size = len(value)
                    tar.addfile(info, io.BytesIO(value))
    path = tmp_path / 'index.json'
    path.write_text(json.dumps(dict(kind='captions', shards=[
        dict(name=f'{i}.tar', samples=count) for i, count in enumerate(counts)])))
    return str(path)


def loader_of(index, kind, workers):
    if kind == 'files':
        return dict(
            batch_size=2, num_workers=workers, persistent_workers=workers > 0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='AlternatingBatchSampler'),
            dataset=dict(type='ConcatDataset', datasets=[
                dict(type='mmengine.NumbersOfResumeTest', size=11),
                dict(type='mmengine.NumbersOfResumeTest', size=14)]))
    if kind == 'plain':
        return dict(
            batch_size=2, num_workers=workers, persistent_workers=workers > 0,
            sampler=dict(type='SeededSampler', shuffle=True),
            dataset=dict(type='mmengine.NumbersOfResumeTest', size=11))
    return dict(
        batch_size=2, num_workers=workers, persistent_workers=workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=dict(type='ShardBatchSampler', num_streams=3, shuffle_buffer=9),
        dataset=dict(type='ShardedCaptionDataset', index=index, pipeline=[tensor]))


def train(index, work_dir, *, kind='shards', loop='epochs', workers=0, stop_at=None, resume=False,
          seed=7, checkpoint=None, **changes):
    loader = loader_of(index, kind, workers)
    loader.update(changes)
    by_epoch = loop == 'epochs'
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        runner = Runner(
            model=dict(type='mmengine.ModelOfResumeTest'), work_dir=str(work_dir),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=3) if by_epoch else dict(
                by_epoch=False, max_iters=30),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), default_scope='tvtsv2_mm',
            default_hooks=dict(checkpoint=dict(checkpoint or dict(
                by_epoch=False, interval=5, save_last=False), type='CheckpointHook')),
            custom_hooks=[dict(type='ResumeDataHook'),
                          dict(type='mmengine.RecordOfResumeTest', stop_at=stop_at)],
            randomness=dict(seed=seed), resume=resume,
            experiment_name=f'{work_dir.name}{resume}{stop_at}')
        with suppress(Stop):
            runner.train()
    workers_of = runner.train_dataloader._iterator
    if workers_of is not None:  # in mid-epoch the garbage collector would wait 5 s for each
        workers_of._shutdown_workers()
    [record] = [hook for hook in runner.hooks if isinstance(hook, RecordOfResumeTest)]
    return record.seen


@pytest.mark.parametrize(('kind', 'loop', 'workers'), [
    ('shards', 'epochs', 0), ('shards', 'epochs', 3), ('shards', 'iterations', 0),
    ('shards', 'iterations', 3), ('files', 'epochs', 2), ('files', 'iterations', 0)])
def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(
        index, tmp_path, monkeypatch, kind, loop, workers):
    """Epochs of 11 batches (files: 10); stopped in the second one, the checkpoint is of 15."""
    monkeypatch.setattr('time.sleep', lambda _: None)  # of mmengine, between epochs
    whole = train(index, tmp_path / 'whole', kind=kind, loop=loop)
    assert len(whole) == 30 if loop == 'iterations' or kind == 'files' else 33
    first = train(index, tmp_path / 'cut', kind=kind, loop=loop, workers=workers, stop_at=17)
    assert first == whole[:17]
    # Another seed: that of the checkpoint counts.
    rest = train(index, tmp_path / 'cut', kind=kind, loop=loop, workers=workers, resume=True,
                 seed=8)
    assert rest == whole[15:]


@pytest.mark.parametrize(('loop', 'done', 'checkpoint'), [
    ('epochs', 6, dict(interval=1)), ('iterations', 5, None)])
def test_with_a_sampler_alone(index, tmp_path, monkeypatch, loop, done, checkpoint):
    """Epochs of 6 batches; of a checkpoint at the end of one, or by mmengine's reading on."""
    monkeypatch.setattr('time.sleep', lambda _: None)
    options = dict(kind='plain', loop=loop, checkpoint=checkpoint)
    whole = train(index, tmp_path / 'whole', **options)
    assert len({number for _, numbers, _ in whole[:6] for number in numbers}) == 11
    assert train(index, tmp_path / 'cut', stop_at=8, workers=1, **options) == whole[:8]
    assert train(index, tmp_path / 'cut', resume=True, seed=8, **options) == whole[done:]


@pytest.mark.parametrize('sampler', ['DefaultSampler', 'SeededSampler'])
def test_draws_that_do_not_go_on_are_told(sampler, index, tmp_path, monkeypatch):
    """Epochs of 6 batches; the checkpoint is of step 5."""
    options = dict(kind='plain', sampler=dict(type=sampler, shuffle=True))
    train(index, tmp_path / 'cut', stop_at=6, **options)
    told: list[str] = []  # runs of one second share a logger, and what it writes to
    monkeypatch.setattr(MMLogger, 'warning', lambda _, text, *args, **kwargs: told.append(text))
    train(index, tmp_path / 'cut', resume=True, **options)
    assert any('DefaultSampler does not tell samples what to draw' in text for text in told) == (
        sampler == 'DefaultSampler')


def test_at_the_end_of_an_epoch_nothing_is_repeated(index, tmp_path):
    """10 batches an epoch: the checkpoint of step 10 still says epoch 0."""
    whole = train(index, tmp_path / 'whole', kind='files')
    train(index, tmp_path / 'cut', kind='files', stop_at=12)
    assert train(index, tmp_path / 'cut', kind='files', resume=True) == whole[10:]


def test_other_batches_cannot_go_on_in_mid_epoch(index, tmp_path):
    train(index, tmp_path / 'cut', stop_at=8)
    with pytest.raises(CheckpointError, match='batch_size: 2 in the checkpoint, 3 now'):
        train(index, tmp_path / 'cut', resume=True, batch_size=3)
    with open(index, 'r+') as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace('3.tar', '4.tar'))  # of the same size
    with pytest.raises(CheckpointError, match=r'annotations: .* CRC-32 .* in the checkpoint'):
        train(index, tmp_path / 'cut', resume=True)


@pytest.mark.parametrize(('kind', 'loop', 'checkpoint', 'step'), [
    ('files', 'epochs', None, 15), ('files', 'iterations', None, 15),
    ('plain', 'iterations', dict(by_epoch=False, interval=3, save_last=False), 9)])
def test_other_batches_from_the_end_of_an_epoch_on(
        index, tmp_path, monkeypatch, kind, loop, checkpoint, step):
    """Epochs of 10 (6) batches, and then of other lengths; a second stop is in mid-epoch."""
    monkeypatch.setattr('time.sleep', lambda _: None)
    options = dict(kind=kind, loop=loop, checkpoint=checkpoint)
    end = 10 if kind == 'files' else 6
    train(index, tmp_path / 'cut', stop_at=end + 1, **options)
    shutil.copytree(tmp_path / 'cut', tmp_path / 'again')
    options.update(resume=True, batch_size=1)
    whole = train(index, tmp_path / 'cut', **options)
    assert len({number for _, numbers, _ in whole[:11] for number in numbers}) == 11
    first = train(index, tmp_path / 'again', stop_at=step + 2, **options)
    assert first == whole[:step + 2 - end]
    assert train(index, tmp_path / 'again', **options) == whole[step - end:]


def test_the_order_of_another_release(index, tmp_path):
    position = dict(epoch=1, batch=3, seed=1, plan={})
    hook, run = ResumeDataHook(), SimpleNamespace(_resume=True)
    checkpoint = dict(meta=dict(epoch=1, iter=3), data_position=position)
    hook.after_load_checkpoint(run, checkpoint)
    position['version'] = 2
    with pytest.raises(CheckpointError, match=r'in the order of version 2, those .* in that of 1'):
        hook.after_load_checkpoint(run, checkpoint)


def _two_ranks(rank, world_size, index, folder):
    whole = train(index, folder / 'whole', workers=rank)
    assert len(whole) == 3 * 5
    assert train(index, folder / 'cut', workers=rank, stop_at=8) == whole[:8]
    assert train(index, folder / 'cut', workers=1 - rank, resume=True) == whole[5:]


def test_two_ranks_with_different_workers(index, tmp_path):
    run_ranks(2, _two_ranks, index, tmp_path)


@pytest.mark.parametrize(('checkpoint', 'message'), [
    (dict(state_dict={}), 'no meta with epoch, iter'),
    (dict(meta=dict(epoch='1', iter=3)), 'no meta with epoch, iter'),
    (dict(meta=dict(epoch=1, iter=3), data_position=[1]), 'no data_position with epoch, batch')])
def test_what_is_no_checkpoint_of_a_run(checkpoint, message):
    hook = ResumeDataHook()
    with pytest.raises(CheckpointError, match=message):
        hook.after_load_checkpoint(SimpleNamespace(_resume=True), checkpoint)
    hook.after_load_checkpoint(SimpleNamespace(_resume=False), checkpoint)
