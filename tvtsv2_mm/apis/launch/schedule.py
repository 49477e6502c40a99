"""A run that goes on with another length or schedule: which holds, in one line of the log."""

import warnings
from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from tvtsv2_mm.checkpoints import CheckpointError

# Of a scheduler's state: where it is, not what it does.
_POSITION = ('last_step', '_global_step', '_last_value', 'verbose')


def settle_schedule(runner: Runner, checkpoint: dict, *, new: bool) -> None:
    """Decide by whose schedule a run goes on, before mmengine takes that of the checkpoint.

    The length (``max_epochs``, ``max_iters``) is the config's. The schedule, with the learning
    rates that it begins with, is the checkpoint's, as in mmengine, or with ``new`` that of the
    config, at the step where the run is: as if it had been followed from the start.

    Args:
        runner: about to resume; its optimiser and schedulers are as the config says.
        checkpoint: what it resumes from; with ``new`` it gets the config's schedule.
        new: ``--new-schedule``.

    Raises:
        CheckpointError: the schedule of the checkpoint cannot be followed with the config's
            schedulers, or that of the config not from the middle.
    """
    lines = _other_length(runner, checkpoint)
    wrapper = runner.optim_wrapper
    saved = checkpoint.get('param_schedulers') or []
    own = runner.param_schedulers or []
    if isinstance(wrapper, OptimWrapper) and 'optimizer' in checkpoint:
        others = _differences(_rates(checkpoint['optimizer']['param_groups']),
                              _rates(wrapper.optimizer.param_groups),
                              saved, [scheduler.state_dict() for scheduler in own])
        if others and new:
            _follow_own(runner, checkpoint)
            lines.append(f'the schedule of the config holds, not that of the checkpoint: {others}')
        elif others:
            if [[*state] for state in saved] != [[*scheduler.state_dict()] for scheduler in own]:
                raise CheckpointError('it has another kind of schedule than the config; '
                                      '--new-schedule follows that of the config from there')
            lines.append(f'the schedule of the checkpoint holds, not that of the config: {others} '
                         '(--new-schedule takes the config\'s)')
    if lines:
        runner.logger.warning('; '.join(lines))


def _other_length(runner: Runner, checkpoint: dict) -> list[str]:
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    name, count = ('max_epochs', 'epoch') if by_epoch else ('max_iters', 'iter')
    told = checkpoint.get('message_hub', {}).get('runtime_info', {}).get(name)
    length, done = getattr(runner.train_loop, name), checkpoint['meta'][count]
    lines = []
    if type(told) is int and told != length:
        lines.append(f'{name} of the config holds: {length}, not {told} as in the checkpoint '
                     f'(--cfg-options train_cfg.{name}={told})')
    if done >= length:
        lines.append(f'nothing is left to train: the checkpoint is of {count} {done}, and {name} '
                     f'is {length}')
    return lines


def _rates(groups: list[Mapping]) -> list[float]:
    return [group.get('initial_lr', group.get('lr')) for group in groups]


def _differences(there: list, now: list, saved: list[Mapping], own: list[Mapping]) -> str:
    found = [] if there == now else [
        f'learning rates begin with {_short(there)}, now {_short(now)}']
    if len(saved) != len(own):
        return ', '.join([*found, f'{len(saved)} schedulers, now {len(own)}'])
    for number, (one, other) in enumerate(zip(saved, own, strict=True)):
        found += [f'param_scheduler.{number}.{key} {_short(one.get(key))}, now '
                  f'{_short(other.get(key))}'
                  for key in sorted({*one, *other} - {*_POSITION, 'base_values'})
                  if one.get(key) != other.get(key)]
    return ', '.join(found)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):  # milestones, counted
        value = sorted(value)
    if isinstance(value, list) and value and len({*value}) == 1:
        value = value[0]
    return f'{value!r:.60}'


def _follow_own(runner: Runner, checkpoint: dict) -> None:
    """Let the schedulers of the config run to where the checkpoint is; it gets their state."""
    schedulers, wrapper = runner.param_schedulers or [], runner.optim_wrapper
    if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
        raise CheckpointError('--new-schedule: a schedule that follows validations cannot be '
                              'followed from the middle')
    epochs, steps = checkpoint['meta']['epoch'], checkpoint['meta']['iter']
    per_epoch = len(runner.train_dataloader)
    if epochs and steps // per_epoch not in (epochs, epochs + 1):  # another number of ranks
        per_epoch = steps / epochs
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Detected call of `scheduler.step')
        done = 0
        for step in range(1, steps + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
            if done < epochs and step >= (done + 1) * per_epoch:
                done += 1
                for scheduler in schedulers:
                    if scheduler.by_epoch:
                        scheduler.step()
    optimizer = checkpoint['optimizer']
    groups = [*optimizer['param_groups'], optimizer.get('base_param_settings') or {}]
    names = {'lr', *(scheduler.param_name for scheduler in schedulers)}
    for saved, group in zip(groups, wrapper.param_groups, strict=False):
        for key in (*names, *(f'initial_{name}' for name in names)):
            if key in group:
                saved[key] = group[key]
            else:
                saved.pop(key, None)
    checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
