"""What a model knows of time: how far its score falls when it is shown the frames otherwise."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tvtsv2_mm.checkpoints.model_config import literal_config
from tvtsv2_mm.evaluation.intervals import interval_of_difference

NATURAL = 'natural'
# Of the views, what may differ between a run and that with the frames in order.
_OF_FRAMES = ('frames_shown', 'frames_seed', 'spacing_used')
# What may not, beside the rest of the views, the model, the videos and the weights.
_SAME = ('protocol', 'benchmark', 'protocol_of', 'backbone', 'normalisation', 'prompts', 'classes',
         'precision', 'evaluator', 'token_grid')


def frames_shown(result: Mapping[str, Any]) -> str:
    """'natural', or what else a run showed of its frames; by its seed if not the first one."""
    views = result.get('views') or {}
    seed = views.get('frames_seed')
    return views.get('frames_shown', NATURAL) + (f' (seed {seed})' if seed else '')


def pair_with_natural(results: Sequence[Mapping[str, Any]]) -> dict[int, list[int]]:
    """Find for each run with the frames in order those of the same model with other frames.

    Nothing else may differ: neither weights and model nor videos, texts, metrics and the other
    views. A run that has trained the model itself has weights that no other run has.

    Returns:
        For the index of each run with the frames in order the indices of the others.
    """
    keys = [_all_but_frames(result) for result in results]
    natural = [i for i, result in enumerate(results) if frames_shown(result) == NATURAL]
    others = [i for i in range(len(results)) if i not in natural]
    return {i: [j for j in others if keys[j] == keys[i] and not results[j].get('trained_further')]
            for i in natural}


def _all_but_frames(result: Mapping[str, Any]) -> str:
    views, split = result.get('views') or {}, result.get('split') or {}
    checkpoint, probe = result.get('checkpoint') or {}, result.get('probe') or {}
    return json.dumps([
        [result.get(name) for name in _SAME],
        {name: value for name, value in views.items() if name not in _OF_FRAMES},
        [split.get('sha256'), split.get('used')], (result.get('query_bank') or {}).get('sha256'),
        checkpoint.get('sha256') or checkpoint.get('path'), probe.get('kind'),
        _model_of((result.get('config') or {}).get('text')),
    ], sort_keys=True, default=str)


def _model_of(text: str | None) -> Any:
    """The model in the text of a config; a text that is none tells nothing but itself."""
    try:
        return literal_config(text or '').get('model')
    except Exception:  # what ast and its limits raise
        return text


def drops(natural: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By group and name of each share how far it fell, and the interval where both have one.

    Ranks are no score, and have none.
    """
    told: dict[str, dict[str, str]] = {}
    for group, figures in natural['metrics'].items():
        for name, value in figures.items():
            then = other['metrics'].get(group, {}).get(name)
            if then is None or name.rpartition('/')[2] in ('MdR', 'MnR'):
                continue
            own, others = (interval_of(result, group, name) for result in (natural, other))
            told.setdefault(group, {})[name] = in_words(value - then, own and others and (
                interval_of_difference((value, own), (then, others))))
    return told


def interval_of(result: Mapping[str, Any], group: str, name: str) -> tuple[float, float] | None:
    """The interval of a metric; earlier versions have none, and neither have all metrics."""
    interval = (result.get('intervals') or {}).get(group, {}).get(name)
    return interval and (interval[0], interval[1])


def in_words(value: float, interval: tuple[float, float] | None = None) -> str:
    """A figure, and its interval behind it.

    Examples:
        >>> in_words(43.21, (40.0, 46.04)), in_words(-0.04)
        ('43.2 [40.0, 46.0]', '-0.0')
    """
    return f'{value:.1f}' + (f' [{interval[0]:.1f}, {interval[1]:.1f}]' if interval else '')
