"""Weights between those before and after fine-tuning (WiSE-FT, Wortsman et al., arXiv 2109.01903).

With a in 0..1, ``(1 - a) before + a after`` often keeps most of what fine-tuning gained and most of
what it cost elsewhere.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint, _load_checkpoint_to_model
from torch import Tensor

from tvtsv2_mm.apis.launch.runs import build_runner
from tvtsv2_mm.checkpoints import CheckpointError, Description
from tvtsv2_mm.checkpoints.convert_checkpoint import write_weights
from tvtsv2_mm.checkpoints.description import describe
from tvtsv2_mm.checkpoints.entries import some
from tvtsv2_mm.checkpoints.lora import without_lora
from tvtsv2_mm.engine.hooks import RecognizerWeightsHook
from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.engine.hooks.recognizer_weights_hook import describe_recognizer
from tvtsv2_mm.evaluation.results import describe_checkpoint, package_versions
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.files import write_atomically

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def interpolate_weights(configs: Mapping[str, Config], before: str, after: str,
                        folder: str | Path, *, alphas: Sequence[float] = ALPHAS,
                        keep: float | None = None) -> dict[str, list[dict[str, float]]]:
    """Test weights between two checkpoints by one or more configs.

    Writes ``interpolation.json`` (all figures), ``interpolation.png`` (the first one of each
    config) and, where some are to be kept, ``weights_A.pth`` into the folder.

    A part of the model that one of the checkpoints lacks as a whole is the other's for every share,
    and ``whole`` of the results says so: a recognizer of MMAction2 has no text encoder (that of
    ``before`` is taken), and what it was trained from no head for its classes (that of ``after``).

    Args:
        configs: evaluation configs by name: what was trained for, and what was not.
        before: checkpoint of any layout; so is ``after``. Adapters (LoRA) are merged.
        folder: for the results, and the logs of the tests.
        alphas: shares of ``after``.
        keep: share of ``after`` in weights to be written.

    Returns:
        Of each config the metrics, by share.

    Raises:
        ValueError: a share is not in 0..1, or a config cannot be tested so.
        CheckpointError: a checkpoint does not fit a model, or lacks weights of a part that it has.
    """
    for alpha in (*alphas, *([] if keep is None else [keep])):
        if not 0 <= alpha <= 1:
            raise ValueError(f'shares of the weights after must lie in 0..1, not {alpha:g}')
    folder = Path(folder)
    figures: dict[str, list[dict[str, float]]] = {}
    whole: dict[str, dict[str, str]] = {}
    for name, cfg in configs.items():
        cfg.model = without_lora(cfg.model)
        cfg.load_from, cfg.resume = None, False
        # It would say that these are the weights of a file.
        cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or []
                            if hook.get('type') != 'ResultFileHook']
        runner = build_runner(cfg)
        if not isinstance(runner, Runner):
            raise ValueError(f'{name}: weights are interpolated by a plain Runner; leave '
                             'runner_type and strategy out of the config')
        model = bare_model(runner)
        one, other, whole[name] = _both(runner, before, after)
        for part, side in whole[name].items():
            print_log(f'{name}: the whole {part} is that of the checkpoint {side}, for every '
                      'share: the other one has none', logger='current', level=logging.WARNING)
        figures[name] = []
        for alpha in alphas:
            _put(model, mix(one, other, alpha))
            figures[name].append({key: float(value) for key, value in runner.test().items()})
        if keep is not None and name == next(iter(configs)) and is_main_process():
            write_weights(mix(one, other, keep), folder / f'weights_{keep:g}.pth',
                          _description_of(model).record())
    if is_main_process():
        _write(folder, figures, whole, before, after, alphas)
    return figures


def mix(before: Mapping[str, Tensor], after: Mapping[str, Tensor],
        alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) before + alpha after; whole numbers are those of ``after``."""
    return {name: torch.lerp(before[name], value, alpha)  # which leaves equal ones as they are
            if value.is_floating_point() else value for name, value in after.items()}


def _description_of(model: Any) -> Description:
    """What no tensor of it tells, to be compared where they are loaded."""
    return describe(model) if isinstance(model, VideoTextModel) else describe_recognizer(model)


def _both(runner: Runner, before: str, after: str) -> tuple[
        dict[str, Tensor], dict[str, Tensor], dict[str, str]]:
    """The weights of two checkpoints, and of which side the parts are that the other one lacks."""
    one, new = _weights_of(runner, before)
    other, left = _weights_of(runner, after, one)
    if new & left:
        raise CheckpointError(f'neither {before} nor {after} has weights of '
                              f'{", ".join(sorted(new & left))}')
    one.update((name, value) for name, value in other.items() if name.split('.')[0] in new)
    return one, other, dict.fromkeys(sorted(new), 'after') | dict.fromkeys(sorted(left), 'before')


def _weights_of(runner: Runner, path: str,
                others: Mapping[str, Tensor] | None = None) -> tuple[dict[str, Tensor], set[str]]:
    """The weights that a model takes from a checkpoint.

    Args:
        others: those of the checkpoint that it was trained from, for the parts that it lacks.

    Returns:
        All weights of the model, and the names of the parts that the checkpoint lacks as a whole:
        with ``others`` any but the backbone, without only heads, which keep the model's values.
    """
    model, checkpoint = bare_model(runner), _load_checkpoint(path, map_location='cpu')
    parts, lacking = _parts(model.state_dict()), set()
    given = checkpoint.get('state_dict', checkpoint)
    # In the names of the model: another library's checkpoint has no part by its name.
    if others is not None and parts.get('backbone', set()) & given.keys():
        lacking = parts.keys() - _parts(given).keys()
        given.update((name, others[name]) for part in lacking for name in parts[part])
    hooks = [hook for hook in runner.hooks if isinstance(hook, RecognizerWeightsHook)]
    if not isinstance(model, VideoTextModel) and not hooks:
        raise ValueError(f'a {type(model).__name__} takes weights that do not fit with a warning '
                         "alone: add dict(type='tvtsv2_mm.RecognizerWeightsHook') to custom_hooks "
                         'of its config')
    for hook in hooks:
        hook.after_load_checkpoint(runner, checkpoint)
    _load_checkpoint_to_model(model, checkpoint)
    new = {*(model.load_report or {}).get('new', ())}
    if others is None:
        lacking = {part for part, names in parts.items() if part != 'backbone' and names <= new}
        new -= {name for part in lacking for name in parts[part]}
    if new:
        raise CheckpointError(f'{path} lacks weights that are to be interpolated, and would give '
                              f'random ones: {some(sorted(new))}')
    return {name: value.detach().cpu().clone()
            for name, value in model.state_dict().items()}, lacking


def _parts(weights: Mapping[str, Tensor]) -> dict[str, set[str]]:
    """The names of weights, by the part of the model."""
    parts: dict[str, set[str]] = {}
    for name in weights:
        parts.setdefault(name.split('.')[0], set()).add(name)
    return parts


@torch.no_grad()
def _put(model: Any, weights: Mapping[str, Tensor]) -> None:
    for name, value in model.state_dict().items():
        value.copy_(weights[name])


def _write(folder: Path, figures: Mapping[str, list[dict[str, float]]],
           whole: Mapping[str, Mapping[str, str]], before: str, after: str,
           alphas: Sequence[float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = dict(
        before=describe_checkpoint(before, None), after=describe_checkpoint(after, None),
        alphas=list(alphas), figures=figures, whole=whole, versions=package_versions(),
        time=datetime.now(timezone.utc).isoformat(timespec='seconds'))
    write_atomically(folder / 'interpolation.json', (json.dumps(content, indent=2) + '\n').encode())
    draw(folder / 'interpolation.png', figures, alphas)


def draw(path: Path, figures: Mapping[str, list[dict[str, float]]],
         alphas: Sequence[float]) -> None:
    """Draw the first figure of each config over the share; of two, one over the other as well."""
    with needed_for('drawing'):
        from matplotlib.figure import Figure
    curves = {f'{name}: {key}': [metrics[key] for metrics in found]
              for name, found in figures.items() for key in list(found[0])[:1]}
    both = len(curves) == 2
    figure = Figure(figsize=(12 if both else 6, 4.5), layout='constrained')
    axes = figure.subplots(1, 1 + both, squeeze=False)[0]
    for label, values in curves.items():
        axes[0].plot(alphas, values, marker='o', label=label)
    axes[0].set(xlabel='a, of weights (1 - a) before + a after')
    axes[0].legend()
    if both:
        (target, gained), (held_out, left) = curves.items()
        axes[1].plot(left, gained, marker='o', color='tab:green')
        for alpha, x, y in zip(alphas, left, gained, strict=True):
            axes[1].annotate(f'{alpha:g}', (x, y), textcoords='offset points', xytext=(5, 5))
        axes[1].set(xlabel=held_out, ylabel=target)
    write_atomically(path, partial(figure.savefig, format='png', dpi=110))
