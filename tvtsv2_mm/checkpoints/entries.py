"""Find the model's weights in what a checkpoint holds, and say which they are.

Training scripts leave weights under any key (``state_dict``, ``module``, ``model``, ...), with the
prefixes of any wrappers, and averaged copies beside them. A model is told by the marker key of a
layout, wherever it is.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .description import FIELDS, RECORD, with_metadata
from .errors import CheckpointError
from .layouts import LAYOUTS, LIBRARY_PLACES

# What wrappers put into names, anywhere: DDP, torch.compile, FSDP.
WRAPPERS = ('module', '_orig_mod', '_fsdp_wrapped_module', '_checkpoint_wrapped_module')
AVERAGED = {'ema', 'avg', 'averaged', 'average', 'swa', 'shadow'}
# Numbers that averaging (of torch, mmengine and others) keeps beside the weights.
COUNTERS = ('n_averaged', 'steps', 'step', 'initted', 'num_updates')
# What may be zero throughout: time attention starts with it, and adapters do.
_MAY_BE_ZERO = re.compile(r'bias$|timeattn|temporal_embedding|lora_B')
_DEPTH = 4
SIGMOID = ('logit_bias is of a model trained with a sigmoid loss, and a VideoTextSigmoidHead takes '
           'it. In a model without one cosines and rankings hold, but the probability of a pair is '
           'sigmoid(logit_scale.exp() * cosine + logit_bias), and not a softmax over texts')


@dataclass(frozen=True)
class Model:
    """A model in a checkpoint: the keys down to its state dict, and the prefix of its names."""

    path: tuple[str, ...]
    prefix: str

    @property
    def name(self) -> str:
        """As reports call it, and as it can be chosen."""
        return '.'.join((*self.path, self.prefix)).strip('.')

    @property
    def averaged(self) -> bool:
        """Whether its name says that its weights are a running average."""
        return bool(AVERAGED & {*re.split(r'[._]', self.name.lower())})


def take_weights(content: Mapping, *,
                 weights: str | None = None) -> tuple[dict[str, Tensor], dict] | None:
    """Take the weights of the model that a checkpoint holds.

    Args:
        content: what was read from it.
        weights: which, as in :func:`.files.read_weights`; by default those that are not averaged.

    Returns:
        The tensors by the names of their layout, and the report: ``entry``, ``taken_off`` (prefix:
        number of names), ``beside`` (other entries), ``other_weights``, ``dropped`` (name or
        prefix: reason), ``notes``. None where no model of a known layout is found.

    Raises:
        CheckpointError: it is not clear which weights are meant, or there are no such.
    """
    models = [*_find_models(content)]
    if not models:
        return None
    swapped = 'ema_state_dict' in content and 'message_hub' in content
    chosen = _choose(models, weights, swapped)
    table: Any = content
    for key in chosen.path:
        table = table[key]
    prefixes = sorted((model.prefix for model in models if model.path == chosen.path),
                      key=len, reverse=True)
    record = _record(getattr(table, '_metadata', None), chosen.prefix.rstrip('.'))
    taken: dict[str, Tensor] = {}
    taken_off: Counter[str] = Counter()
    dropped: dict[str, str] = {}
    others: Counter[str] = Counter()
    for key, value in table.items():
        if not isinstance(value, Tensor):
            if chosen.path:
                dropped[str(key)] = f'no tensor but {type(value).__name__}'
            continue
        name, wrappers = unwrap(key)
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if prefix is None and _of_optimizer(name):
            others[f'{name.split(".")[0]}.*'] += 1
        elif value.numel() == 1 and (prefix is None or name in COUNTERS):
            dropped[key] = 'one number beside the names of the model'
        elif prefix not in (None, chosen.prefix):
            others[f'{prefix}*'] += 1
        else:
            name = name.removeprefix(prefix or '')
            if name in taken:
                raise CheckpointError(f'two of its names are {name} without their prefixes')
            taken[name] = value
            taken_off.update(part for part in (prefix, *wrappers) if part)
    dropped |= {name: f'{count} tensors of another model or of an optimiser'
                for name, count in others.items()}
    notes = _notes(models, chosen, swapped)
    if 'logit_bias' in taken:
        notes.append(SIGMOID)
    beside = [str(key) for key, value in content.items() if (
        key not in chosen.path[:1] if chosen.path else not isinstance(value, Tensor))]
    return with_metadata(taken, {RECORD: record} if record else {}), dict(
        entry='.'.join(chosen.path), taken_off=dict(taken_off), beside=beside,
        other_weights=[model.name for model in models if model != chosen], dropped=dropped,
        notes=notes)


def check_values(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that are zero throughout and should not be.

    Raises:
        CheckpointError: some are not finite.
    """
    broken, zero = [], []
    for name, tensor in weights.items():
        if (not tensor.is_floating_point() or not tensor.numel() or tensor.is_meta
                or name.endswith(('attn_mask', 'text.mask'))):
            continue
        tensor = tensor.detach()
        low, high = torch.aminmax(tensor if tensor.itemsize > 1 else tensor.float())
        if not math.isfinite(low) or not math.isfinite(high):
            broken.append(name)
        elif low == high == 0 and tensor.numel() > 1 and not _MAY_BE_ZERO.search(name):
            zero.append(name)
    if broken:
        raise CheckpointError(
            f'{len(broken)} of its {len(weights)} tensors have values that are not finite (NaN or '
            f'infinite): {some(broken)}. Take an earlier checkpoint')
    return zero


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Word the report on a file of weights."""
    lines = [f'weights taken from the entry {report["entry"]}' if report['entry'] else
             'weights taken from the file itself']
    if report['beside']:
        lines[0] += f' (beside it: {some(report["beside"])})'
    lines += [f'taken off: {part.rstrip(".")}. in {count} names'
              for part, count in report['taken_off'].items()]
    lines += [f'dropped: {name}: {why}' for name, why in report['dropped'].items()]
    return [*lines, *report['notes']]


def describe(content: Any, depth: int = 1) -> str:
    """The keys of what a checkpoint holds, those within them too."""
    if not isinstance(content, Mapping):
        return f'no names, but {type(content).__name__}'
    return some([
        f'{key} ({len(value)} entries: {describe(value, depth - 1)})'
        if depth and isinstance(value, Mapping) and value else str(key)
        for key, value in content.items()]) or 'nothing'


def some(names: Sequence[str], count: int = 8) -> str:
    """The first of the names, each of a bounded length."""
    more = f', ... ({len(names)} in all)' if len(names) > count else ''
    return ', '.join(name[:200] for name in names[:count]) + more


def _find_models(content: Any, path: tuple[str, ...] = (),
                 seen: set[int] | None = None) -> Iterator[Model]:
    seen = set() if seen is None else seen
    if not isinstance(content, Mapping) or id(content) in seen or len(path) > _DEPTH:
        return
    seen.add(id(content))
    prefixes: dict[str, None] = {}
    for key, value in content.items():
        if not isinstance(key, str):
            continue
        if not isinstance(value, Tensor):
            if not _of_optimizer(key):
                yield from _find_models(value, (*path, key), seen)
            continue
        name, _ = unwrap(key)
        if any(place in name for place in LIBRARY_PLACES):
            continue
        for layout in LAYOUTS:
            if f'.{name}'.endswith(f'.{layout.marker}') and not _of_optimizer(name):
                prefixes[name.removesuffix(layout.marker)] = None
    yield from (Model(path, prefix) for prefix in prefixes)


def _choose(models: list[Model], weights: str | None, swapped: bool) -> Model:
    if weights is None:
        if swapped:  # as mmengine itself takes them
            models = [model for model in models if model.path == ('state_dict', )] or models
        fitting = [model for model in models if not model.averaged] or models
    elif weights == 'ema':
        fitting = [model for model in models if
                   (model.path == ('state_dict', ) if swapped else model.averaged)]
    else:
        fitting = [model for model in models if weights in (
            model.name, '.'.join(model.path), model.prefix.rstrip('.'))]
    if len(fitting) == 1:
        return fitting[0]
    names = ', '.join(model.name or '(the file itself)' for model in models)
    if not fitting:
        raise CheckpointError(f'it has no weights {weights!r}, but {names}')
    raise CheckpointError(f'it has the weights of several models: {names}. Choose by --weights '
                          'NAME of tools/convert_checkpoint.py, and load what that writes')


def _notes(models: list[Model], chosen: Model, swapped: bool) -> list[str]:
    if swapped and chosen.path in (('state_dict', ), ('ema_state_dict', )):
        return ['state_dict holds averaged weights, and ema_state_dict those in training (as '
                f"mmengine's EMAHook writes them); taken: {chosen.name}"]
    if chosen.averaged:
        return [f'{chosen.name} holds averaged weights']
    averaged = [model.name for model in models if model.averaged]
    return [f'averaged weights are there too, and not taken: {some(averaged)} (--weights ema of '
            'tools/convert_checkpoint.py takes them)'] if averaged else []


def _record(metadata: Any, root: str) -> Any:
    """What our models, or their parts in models of others, keep there and no tensor tells."""
    records = {unwrap(name)[0]: values[RECORD] for name, values in (
        metadata.items() if isinstance(metadata, Mapping) else ())
        if isinstance(name, str) and isinstance(values, Mapping) and RECORD in values}
    if root in records:
        return records[root]
    own = [records[name] for part in FIELDS
           if isinstance(records.get(name := f'{root}.{part}'.lstrip('.')), Mapping)]
    return {key: value for record in own for key, value in record.items()}


def unwrap(key: str) -> tuple[str, list[str]]:
    """A name without what wrappers put into it, and what that was, once each."""
    parts = key.split('.')
    wrappers = [part for part in dict.fromkeys(parts) if part in WRAPPERS]
    return '.'.join(part for part in parts if part not in WRAPPERS), wrappers


def _of_optimizer(name: str) -> bool:
    return any('optim' in part for part in name.lower().split('.')[:3])
