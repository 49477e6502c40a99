"""Leaves out steps with NaN or infinite values, says of which samples, and saves none of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial, update_wrapper
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor
from torch.distributed.tensor import DTensor

from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.entries import check_values
from tvtsv2_mm.registry import HOOKS
from tvtsv2_mm.utils.errors import RunStoppedError

# What a training goes on from; histories of the log may hold anything.
_KEPT = ('state_dict', 'ema_state_dict', 'optimizer')


@HOOKS.register_module()
class NonFiniteStepHook(Hook):
    """Leave out a step of the optimiser whose loss or gradients are NaN or infinite, on all ranks.

    The log names the ranks and the samples of the step. Too many such steps stop the run, and a
    checkpoint with values that are not finite is not written. Works with every wrapper of one
    optimiser or several, and in shards. What mixed precision in float16 leaves out while it
    searches its scale, with losses that are finite, is no fault and counts only in a row.

    The ranks agree without a word more: a loss that is not finite makes all its gradients NaN, and
    gradients are added up over the ranks. A GPU is waited for once a step, as with the norm of
    ``clip_grad``, which is taken for the check where there is one.

    Args:
        max_in_a_row: Steps left out one after the other that stop the run.
        max_share: Largest share of steps left out, 0..1.
        min_steps: Steps before the share counts.
        max_listed: Samples named of each rank.

    Raises:
        ValueError: An argument is out of its range.
        RunStoppedError: On every rank: too many steps.
    """

    # After EMAHook has put its averages into the checkpoint.
    priority = 'LOWEST'

    def __init__(self, *, max_in_a_row: int = 20, max_share: float = 0.05, min_steps: int = 200,
                 max_listed: int = 64) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(f'max_share must be in [0, 1], got {max_share}')
        if min(max_in_a_row, min_steps, max_listed) < 1:
            raise ValueError('max_in_a_row, min_steps and max_listed must be at least 1, got '
                             f'{max_in_a_row}, {min_steps} and {max_listed}')
        self.max_in_a_row = max_in_a_row
        self.max_share = max_share
        self.min_steps = min_steps
        self.max_listed = max_listed
        self.num_steps = self.num_left_out = self._in_a_row = 0
        self._samples: list[str] = []  # since the last step

    def before_train(self, runner: Runner) -> None:
        """Put the check into the optimiser's steps."""
        wrapper = runner.optim_wrapper
        wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        for one in wrappers:
            _CheckedSteps(one, runner, self)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note the samples."""
        samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
        self._samples += [name for name in map(_name_of, samples or ()) if name]

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look whether all that a run goes on from is finite, on the ranks that save.

        Raises:
            RuntimeError: It is not.
        """
        tensors = {name: value for key in _KEPT
                   for name, value in _tensors(checkpoint.get(key), key)}
        try:
            check_values(tensors)
        except CheckpointError as error:
            problem = str(error).removesuffix('. Take an earlier checkpoint')
            raise RuntimeError(
                f'training stops at iteration {checkpoint["meta"]["iter"]}, and its checkpoint is '
                f'not written: {problem}. The checkpoints before it stay: --resume goes on from '
                'the last') from None

    def count(self, runner: Runner, losses: Sequence[Tensor], done: bool, scaled: bool) -> None:
        """Count a step, and report one that was left out; all ranks call it alike."""
        self.num_steps += 1
        self._in_a_row = 0 if done else self._in_a_row + 1
        samples, self._samples = self._samples, []
        if done:
            return
        found = [float(loss) for loss in losses if not loss.isfinite()]
        ranks = all_gather_object((found, samples[:self.max_listed], len(samples)))
        sick = [rank for rank, (values, *_) in enumerate(ranks) if values]
        if scaled and not sick:
            runner.logger.info(f'iteration {runner.iter + 1}: the loss was scaled too much, the '
                               'step was left out')
        else:
            self.num_left_out += 1
            runner.logger.warning(_report(runner.iter + 1, ranks, sick))
        self._stop_if_too_many()

    def _stop_if_too_many(self) -> None:
        many = (self.num_steps >= self.min_steps
                and self.num_left_out > self.max_share * self.num_steps)
        if self._in_a_row >= self.max_in_a_row:
            told = f'the last {self._in_a_row} steps were left out'
        elif many:
            told = f'{self.num_left_out} of {self.num_steps} steps were left out'
        else:
            return
        raise RunStoppedError(
            f'training stops: {told}, for their loss or gradients were not finite (see the log for '
            'their samples): a lower learning rate, clip_grad or other data may help; NonFiniteStep'
            f'Hook allows max_in_a_row={self.max_in_a_row} and max_share={self.max_share:g}')


class _NotFinite(Exception):
    """The norm of the gradients is not finite."""


class _CheckedSteps:
    """Stands in for ``backward`` and ``step`` of an optimiser wrapper."""

    def __init__(self, wrapper: OptimWrapper, runner: Runner, hook: NonFiniteStepHook) -> None:
        self.wrapper, self.runner, self.hook = wrapper, runner, hook
        self.scaled = isinstance(wrapper, AmpOptimWrapper)
        self.losses: list[Tensor] = []
        self.done = False
        self._backward, self._step = wrapper.backward, wrapper.step
        wrapper.backward = self.backward
        # With the mark that mmengine's schedulers left on it and look for.
        wrapper.step = update_wrapper(partial(self.step), self._step)
        wrapper.optimizer.register_step_post_hook(self._note_step)
        self._clips = bool(wrapper.clip_grad_kwargs) and wrapper.grad_name == 'grad_norm'
        if self._clips and not self.scaled:
            self._clip = wrapper.clip_func
            wrapper.clip_func = self.clip

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        # Times 1, or NaN: the gradients of a loss that is infinite need not be.
        self.losses.append(loss.detach())
        self._backward(loss * (1 + 0 * loss.detach()), **kwargs)

    def clip(self, parameters: list[Tensor], **kwargs: Any) -> Tensor:
        norm = self._clip(parameters, **kwargs)
        if not norm.isfinite():
            raise _NotFinite
        return norm

    def step(self, **kwargs: Any) -> None:
        self.done = False
        try:
            # A scaler looks for itself, and must hear of what it finds.
            if self._clips or self.scaled or self._has_finite_norm():
                self._step(**kwargs)
        except _NotFinite:
            pass
        losses, self.losses = self.losses, []
        self.hook.count(self.runner, losses, self.done, self.scaled)

    def _has_finite_norm(self) -> bool:
        gradients = [parameter.grad for group in self.wrapper.optimizer.param_groups
                     for parameter in group['params'] if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        return bool((norm.full_tensor() if isinstance(norm, DTensor) else norm).isfinite())

    def _note_step(self, optimizer: Any, *_: Any) -> None:
        # A fused optimiser leaves a step out itself where the scaler tells it to.
        found = getattr(optimizer, 'found_inf', None)
        self.done = found is None or not found.item()


def _report(iteration: int, ranks: Sequence[tuple[list[float], list[str], int]],
            sick: Sequence[int]) -> str:
    lines = [f'iteration {iteration}: the step was left out, for ' + (
        'its loss was not finite' if sick else 'its gradients were not finite')]
    for rank in sick or range(len(ranks)):
        values, names, number = ranks[rank]
        loss = f'loss {", ".join(map(str, values))}; ' if values else ''
        more = f' and {number - len(names)} more' if number > len(names) else ''
        lines.append(f'  rank {rank}: {loss}samples: {", ".join(names) or "without names"}{more}')
    return '\n'.join(lines)


def _name_of(sample: Any) -> str | None:
    """The file of a sample and what part of it, or its name in the data set."""
    name = next((sample.get(key) for key in ('filename', 'sample_id', 'video_id')
                 if sample.get(key)), None)
    span = sample.get('span')
    return name and (str(name) if span is None else f'{name} ({span})')


def _tensors(node: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, DTensor):
        yield name, node.to_local()
    elif isinstance(node, Tensor):
        yield name, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _tensors(value, f'{name}.{key}')
