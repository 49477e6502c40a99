"""Goes on as if there had been no stop: the same batches, and the same random numbers."""

from collections.abc import Iterator
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, set_random_seed
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import BatchSampler

from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.datasets.fingerprint import fingerprint
from tvtsv2_mm.engine.samplers import SeededSampler
from tvtsv2_mm.registry import HOOKS

# Of the order of samples and of what is drawn: another one gives a batch another content.
VERSION = 1


@HOOKS.register_module()
class ResumeDataHook(Hook):
    """Let a run that resumes see and draw what an uninterrupted one does.

    Checkpoints get ``data_position``: epoch, batch and the seed of the order, which without
    ``--seed`` is another one in each run. Where a batch sampler has ``start`` and ``describe``
    (AlternatingBatchSampler, ShardBatchSampler) the run goes on in mid-epoch at the batch that
    comes next, and the position tells as well what the numbers of the batches depend on, the
    content of the annotation files included; so it is with torch's own batches of any seeded
    sampler. With others mmengine begins the epoch again
    (EpochBasedTrainLoop), or reads and drops the batches of the epoch that were trained on
    (IterBasedTrainLoop). What is drawn of their samples (segments, crops, masks) is the same with
    SeededSampler, or with one of these batch samplers; with others a line says that it is not. At
    the end of an epoch a run goes on with other data or another number of ranks, in the middle of
    one with the same alone.

    What a step draws (drop path, dropout, mixup) follows from the seed, the step and the rank.
    """

    # After DistSamplerSeedHook has set the epoch.
    priority = 'LOW'

    def __init__(self) -> None:
        self._position: dict | None = None
        # Epochs that were trained before the data changed, and in how many steps: an epoch of
        # other data, or of another number of ranks, has another length.
        self._before = (0, 0)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write down where the data are."""
        batches = runner.train_dataloader.batch_sampler
        if not _is_seeded(batches):
            return
        epochs, steps = self._before
        epoch, batch = divmod(checkpoint['meta']['iter'] - steps, len(batches))
        checkpoint['data_position'] = dict(
            version=VERSION, epoch=epochs + epoch, batch=batch, seed=int(batches.sampler.seed),
            plan=_plan(batches))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the position, and look whether a run that resumes can go on from here.

        Raises:
            CheckpointError: The checkpoint is not that of a run.
        """
        position = checkpoint.get('data_position')
        if runner._resume:
            _check_numbers(checkpoint, 'meta', ('epoch', 'iter'))
            if position is not None:
                _check_numbers(checkpoint, 'data_position', ('epoch', 'batch', 'seed'))
                if position.get('version', VERSION) != VERSION:
                    raise CheckpointError(
                        f'the data of the checkpoint are in the order of version '
                        f'{position["version"]!r:.20}, those of this release in that of {VERSION}: '
                        'go on with the release that wrote it, or give it as load_from')
        self._position = position

    def before_train_epoch(self, runner: Runner) -> None:
        """Move to the position, before the first epoch of a resumed run.

        Raises:
            CheckpointError: The numbers of the batches mean something else now.
        """
        position, self._position = self._position, None
        loop, loader = runner.train_loop, runner.train_dataloader
        batches = loader.batch_sampler
        if position is None or runner.iter == 0 or not _is_seeded(batches):
            return
        sampler = batches.sampler
        sampler.seed = position['seed']
        by_epoch, endless = isinstance(loop, EpochBasedTrainLoop), isinstance(
            sampler, InfiniteSampler)
        can_start = hasattr(batches, 'start') or (
            type(batches) is BatchSampler and 'batch_size' in position['plan'])
        if by_epoch and not can_start:
            self._before = (runner.epoch, runner.iter)  # it begins the epoch again
            return
        if position['batch'] or endless:
            _check_plan(position['plan'], _plan(batches))
            if not (hasattr(batches, 'start') or isinstance(sampler, SeededSampler)):
                runner.logger.warning(
                    'the batches are those of a run without a stop, but what is drawn of their '
                    f'samples (segments, crops, masks) is not: {type(sampler).__name__} does not '
                    'tell samples what to draw, as SeededSampler does')
        self._before = (position['epoch'], runner.iter - position['batch'])
        if by_epoch:
            # A checkpoint by iterations at the very end of an epoch still counts as that epoch.
            batch = position['batch'] + (position['epoch'] - runner.epoch) * len(batches)
            if hasattr(batches, 'start'):
                batches.start = (runner.epoch, batch)
            else:
                batches.sampler = _Rest(batches, batch * batches.batch_size)
        else:
            read = runner.iter if endless else position['batch']
            if not endless:
                sampler.set_epoch(position['epoch'])
            if hasattr(batches, 'start'):
                batches.start, read = (position['epoch'], position['batch']), 0
            iterator = _InfiniteDataloaderIterator(loader)  # the loop's has the old order
            if not endless:
                iterator._epoch = position['epoch']
            # The loop draws, and throws away, as many batches as were trained on.
            loop.dataloader_iterator = _Batches(repeat(None, runner.iter - read), iterator)
        runner.logger.info(f'the data go on at batch {position["batch"]} of epoch '
                           f'{position["epoch"]}, counted from 0')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the global generators for the step, without a state that would have to be saved."""
        seeds = np.random.SeedSequence((runner.seed, runner.iter, get_rank()))
        set_random_seed(int(seeds.generate_state(1)[0]))


class _Rest:
    """Stands in for the sampler of torch's batches until it has left out indices, once."""

    def __init__(self, batches: BatchSampler, number: int) -> None:
        self._batches, self._number, self._sampler = batches, number, batches.sampler

    def __iter__(self) -> Iterator:
        self._batches.sampler = self._sampler
        return islice(self._sampler, self._number, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)


class _Batches(chain):
    """Iterators one after the other, also for onedl-mmengine's loop, which asks for a skip."""

    def skip_iter(self, num_iters: int) -> None:
        for _ in range(num_iters):
            next(self)


def _is_seeded(batches: Any) -> bool:
    """Whether the order is one of mmengine's samplers, or of those that derive from them."""
    return hasattr(getattr(batches, 'sampler', None), 'seed')


def _plan(batches: Any) -> dict:
    """What has to stay the same for a batch to have the same number."""
    if hasattr(batches, 'describe'):
        known = batches.describe()
    else:
        known = dict(ranks=get_world_size(), batches=len(batches))
        if type(batches) is BatchSampler:
            known |= dict(sampler=type(batches.sampler).__name__, batch_size=batches.batch_size)
    return dict(known, annotations=fingerprint(getattr(batches.sampler, 'dataset', None)))


def _check_numbers(checkpoint: dict, entry: str, names: tuple[str, ...]) -> None:
    found = checkpoint.get(entry)
    if not isinstance(found, dict) or any(
            type(found.get(name)) is not int or found[name] < 0 for name in names):
        raise CheckpointError(
            f'the checkpoint has no {entry} with {", ".join(names)}, from which a run could go on: '
            'give it as load_from, without resume, to start a new one with its weights')


def _check_plan(there: dict, now: dict) -> None:
    # An earlier release may have told less, and told annotations by their size alone.
    different = [f'{key}: {value!r} in the checkpoint, {now.get(key)!r} now'
                 for key, value in sorted(there.items())
                 if value != now.get(key) and key != 'annotation_bytes']
    if different:
        raise CheckpointError(
            'the checkpoint is from the middle of an epoch that had other batches; resume with the '
            'same ones, or from a checkpoint at the end of an epoch, or give the checkpoint as '
            f'load_from ({"; ".join(different)})')
