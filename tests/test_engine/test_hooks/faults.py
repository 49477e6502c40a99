"""Faults that a run brings upon itself at a step, so that no test waits for the right moment."""

import errno
import os
import signal
import time
from pathlib import Path

import torch
from mmaction.structures import ActionDataSample
from mmengine.dataset import default_collate
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS

from tests.test_tools.toy_parts import ToyDataset, ToyModel
from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.registry import DATASETS, HOOKS, MODELS
from tvtsv2_mm.utils import files


@DATASETS.register_module()
class NamedDatasetOfFaults(ToyDataset):
    """The same numbers, and what each is called."""

    def __getitem__(self, index):
        return dict(super().__getitem__(index), data_samples=ActionDataSample(
            metainfo=dict(filename=f'{int(index)}.mp4')))


@FUNCTIONS.register_module()
def collate_named(samples):
    named = [sample.pop('data_samples') for sample in samples]
    return dict(default_collate(samples), data_samples=named)


@MODELS.register_module()
class NamedModelOfFaults(ToyModel):
    def forward(self, inputs, target, data_samples=None, mode='tensor'):
        return super().forward(inputs, target, mode)


@HOOKS.register_module()
class FaultHook(Hook):
    """Does something before a step, counted from 1, on a rank, or on all.

    Args:
        do: the name of a method.
        at: the step, or a list of them.
        rank: None for all.
    """

    def __init__(self, do, at, rank=None):
        self.do, self.rank = do, rank
        self.at = at if isinstance(at, list | tuple) else [at]

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 in self.at and self.rank in (None, get_rank()):
            getattr(self, self.do)(runner, data_batch)

    def nan_loss(self, runner, batch):
        batch['inputs'].fill_(torch.nan)

    def infinite_target(self, runner, batch):
        batch['target'].fill_(torch.inf)

    def nan_of_model(self, runner, batch):
        model = bare_model(runner)
        parse = model.parse_losses

        def parse_once(losses):
            model.parse_losses = parse
            loss, told = parse(losses)
            return loss * torch.nan, told

        model.parse_losses = parse_once

    def nan_gradient(self, runner, batch):
        [weight] = [value for name, value in runner.model.named_parameters()
                    if name.endswith('weight')]
        handle = weight.register_hook(lambda grad: handle.remove() or grad * torch.nan)

    def nan_weight(self, runner, batch):
        with torch.no_grad():
            for value in runner.model.parameters():
                value.fill_(torch.nan)

    def nan_moment(self, runner, batch):
        for state in runner.optim_wrapper.optimizer.state.values():
            state['exp_avg'].fill_(torch.nan)

    def out_of_memory(self, runner, batch):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')

    def data_error(self, runner, batch):
        raise ValueError('a fault of the data')

    def full_disk(self, runner, batch):
        def refuse(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        files._Quiet.write = refuse

    def stop(self, runner, batch):
        os.kill(os.getpid(), signal.SIGSTOP)

    def kill(self, runner, batch):
        os.kill(os.getpid(), signal.SIGKILL)

    def term(self, runner, batch):
        os.kill(os.getpid(), signal.SIGTERM)

    def usr1(self, runner, batch):
        os.kill(os.getpid(), signal.SIGUSR1)

    def sleep(self, runner, batch):
        time.sleep(600)

    def touch(self, runner, batch):
        """Tell a test that the step is there, and wait to be killed."""
        self.pause(runner, batch, seconds=600)

    def pause(self, runner, batch, seconds=5):
        """Tell a test that the step is there, and give it time."""
        Path(runner.work_dir, f'reached_{get_rank()}').touch()
        time.sleep(seconds)
