"""Bring a state dict of any known layout into ours, and let nothing be lost on the way."""

import logging
import math
import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache, partial
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from .description import Description, check_model, check_refused, description_of
from .entries import describe, report_lines, take_weights
from .errors import CheckpointError, naming
from .hugging_face import is_library, name_parts
from .layouts import CHANGES, HEADS, LAYOUTS, Layout
from .lora import adapters_of, common_adapters, merge_lora, under_names_of, without_adapters
from .openmmlab import is_foreign, name_backbone
from .positions import SPATIAL, TEMPORAL, resize_spatial, resize_temporal

# Parts of a model that a config may leave out: their weights are then not needed.
OPTIONAL_PARTS = ('backbone.', 'neck.', 'contrastive_head.', 'sorting_head.', 'cls_head.')


def to_own_layout(given: Mapping[str, Tensor],
                  own: Mapping[str, Tensor],
                  *,
                  interpolate_positions: bool = False,
                  report: dict | None = None) -> dict[str, Tensor]:
    """Convert a state dict of any known layout for a model.

    Args:
        given: names and tensors of the checkpoint; prefixes of wrappers are taken off.
        own: the model's present state dict, for its names and sizes; what the checkpoint's layout
            does not have (named ``new`` in the layout's table) keeps these values.
        interpolate_positions: resize the tables of spatial and temporal positions to ``own``'s
            number of patches and frames, where they differ.
        report: is filled with what was done: layout, tensors (of the model), taken, new, unneeded,
            dropped, lost (names), resized (lines), lora (a line, where there are adapters) and,
            unless it is there, file (see :func:`.entries.take_weights`).

    Returns:
        A state dict with exactly the names of ``own``.

    Raises:
        CheckpointError: unknown layout; missing or unused keys; sizes that differ. All of them are
            listed.
    """
    weights, source = take_weights(given) or (given, {})
    return _convert(
        weights, own, interpolate_positions, {} if report is None else report, source)[0]


def fit_weights(given: Mapping[str, Tensor], own: Mapping[str, Tensor], model: Description, *,
                metadata: Mapping[str, Any], report: dict, interpolate_positions: bool = False,
                temperature: float | None = None) -> dict[str, Tensor]:
    """Convert a state dict for a model, or a part of one, and refuse one that gives other numbers.

    Args:
        given: names and tensors, as in :func:`to_own_layout`; so are ``own``,
            ``interpolate_positions`` and ``report``, which is told ``assumed`` as well: lines on
            what is not known of the weights, or not taken. They are logged.
        own: the model's present state dict.
        model: what it was built with.
        metadata: of the root of ``given``; the report on its file is taken from them.
        temperature: of the model's contrastive head, where that is a constant.

    Raises:
        CheckpointError: they do not fit. All differences are listed.
    """
    file = metadata.get('file')
    if file is not None:
        report['file'] = file
    with naming(file.get('path') if isinstance(file, Mapping) else None):
        if not is_library(own):
            check_refused(metadata)
        weights, source = take_weights(given) or (given, {})
        converted, layout = _convert(weights, own, interpolate_positions, report, source)
        unknown, lines = check_model(
            description_of(weights, metadata, report['layout']), model, report)
    if unknown:
        lines.append('not told by the weights, as in the model config: ' + ', '.join(
            f'{name}={value!r}' for name, value in unknown.items()))
    name, of = layout.temperature
    number = weights.get(name)
    if temperature is not None and number is not None and number.numel() == 1:
        learnt = of(number.item())
        if not math.isclose(learnt, temperature, rel_tol=1e-3):
            lines.append(f'{name} is not taken: its temperature is {learnt:.4g}, that of '
                         f'contrastive_head {temperature:g}, by which losses and probabilities '
                         'are computed here')
    report['assumed'] = lines
    for line in lines:
        print_log(line, logger='current', level=logging.WARNING)
    return converted


def _convert(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], interpolate_positions: bool,
             report: dict, source: dict) -> tuple[dict[str, Tensor], Layout]:
    left: list[str] = []
    if is_foreign(own):
        weights, layout, left = name_backbone(weights, own)
    elif is_library(own):
        weights, layout, left = name_parts(weights, own)
    else:
        layout = detect_layout(weights)
    absent_parts = tuple(part for part in OPTIONAL_PARTS
                         if not any(key.startswith(part) for key in own))
    with_adapters, kept = own, common_adapters(weights, own)
    others = [key for key in adapters_of(weights)
              if key not in kept and not key.startswith(absent_parts)]
    adapters = adapters_of(own) | kept
    lora = [line for line, holds in {
        'its adapters (LoRA) are merged': others,
        'adapters (LoRA) are new': len(adapters) > len(kept)}.items() if holds]
    weights, own = merge_lora(weights, kept), without_adapters(own)
    converted, unused = convert_names(weights, layout)
    positions = _resize_positions(converted, own, layout) if interpolate_positions else []
    # One by other names, of a recognizer of MMAction2, is another head.
    if not any(key in own for key in converted if key.startswith('cls_head.')):
        absent_parts += ('cls_head.', )
    others = [key for key in converted if key not in own]
    unneeded = [*left, *(key for key in weights if key.startswith(layout.unneeded)),
                *(key for key in others if key.startswith(absent_parts))]
    missing = [key for key in own if key not in converted]
    new = whole_groups(missing, own, layout.new)
    common = {key: (converted[key], own[key]) for key in own if key in converted}
    different = {key: f'{key}: {tuple(one.shape)} in the checkpoint, {tuple(other.shape)} by the '
                 'config' for key, (one, other) in common.items() if one.shape != other.shape}
    problems = {
        'sizes differ': different.values(),
        'missing in the checkpoint': _missing(
            [key for key in missing if key not in new], own),
        'not used by the model': unused + [key for key in others if key not in unneeded],
        'whole numbers, as of quantised weights': [
            f'{key}: {one.dtype}' for key, (one, other) in common.items()
            if other.is_floating_point() and not one.is_floating_point()]}
    lines = [f'{title}:\n  ' + '\n  '.join(found) for title, found in problems.items() if found]
    # Not where the patches or the width differ as well: then it is another model.
    if different and not interpolate_positions and different.keys() <= {SPATIAL, TEMPORAL}:
        lines.append('(position tables are resized on request: interpolate_positions=True of '
                     "the model, or of a part's init_cfg; --interpolate-positions of "
                     'tools/convert_checkpoint.py)')
    if lines:
        raise CheckpointError(f'the checkpoint (layout: {layout.name}) does not fit the model '
                              'config.\n' + '\n'.join(lines))
    dropped, lost = ([key for key in weights
                      if any(_expression(name).fullmatch(key) for name in names)]
                     for names in (layout.dropped, layout.lost))
    report.update(layout=layout.name, tensors=len(own), taken=len(own) - len(new),
                  new=sorted(new), unneeded=sorted(unneeded), dropped=sorted(dropped),
                  lost=sorted(lost), resized=positions)
    report.setdefault('file', source)
    if lora:
        report['lora'] = '; '.join(lora)
    summary = [f'checkpoint layout {layout.name}: {report["taken"]} of {len(own)} tensors taken']
    if new:
        summary.append(f'new, kept at their initial values: {_summary(new)}')
    if unneeded:
        summary.append(f'not needed by this model: {_summary(unneeded)}')
    summary += [*(f'resized {line}' for line in positions), *lora]
    # Not after a file was read: it has said so.
    if source.get('taken_off') or source.get('dropped'):
        summary += report_lines(source)
    print_log('; '.join(summary), logger='current')
    fitted = {key: own[key] if key in new else converted[key] for key in own}
    return under_names_of(with_adapters, fitted) | adapters, layout


def _resize_positions(converted: dict[str, Tensor], own: Mapping[str, Tensor],
                      layout: Layout) -> list[str]:
    """Resize in place the position tables whose number of rows alone differs; say which."""
    done = []
    for key, resize in ((SPATIAL, partial(resize_spatial, antialias=layout.antialias)),
                        (TEMPORAL, resize_temporal)):
        if key not in converted or key not in own:
            continue
        table, rows = converted[key], len(own[key])
        if len(table) != rows and table.shape[1:] == own[key].shape[1:]:
            try:
                converted[key] = resize(table, rows)
            except ValueError as error:
                raise CheckpointError(f'{key} cannot be resized: {error}') from error
            done.append(f'{key} from {len(table)} to {rows} rows')
    return done


def detect_layout(given: Mapping[str, Tensor]) -> Layout:
    """Find the layout by its marker key."""
    for layout in LAYOUTS:
        if isinstance(given.get(layout.marker), Tensor):
            return layout
    known = '\n'.join(f'  {layout.name}: {layout.marker}' for layout in LAYOUTS)
    if any(key.startswith(('backbone.', 'module.backbone.')) for key in given):
        known += ('\nIf it is of MMAction2 or mmpretrain: OpenMMLabBackbone reads the backbone '
                  '(docs/mmaction2.md).')
    raise CheckpointError(
        f'unknown checkpoint layout. It has none of the keys by which layouts are told:\n{known}\n'
        f'It has: {describe(given)}')


def convert_names(given: Mapping[str, Tensor],
                  layout: Layout,
                  to_foreign: bool = False) -> tuple[dict[str, Tensor], list[str]]:
    """Apply a layout's rules, with ``to_foreign`` from our names to the layout's.

    Returns:
        The tensors by their new names, and the keys that no rule knows.
    """
    if not layout.rules:
        return dict(given), []
    converted: dict[str, Tensor] = {}
    used = {key for key in given if key.startswith(layout.unneeded) or any(
        _expression(name).fullmatch(key) for name in (*layout.dropped, *layout.lost))}
    for foreign, own, *changes in layout.rules:
        before, after = ((names, ) if isinstance(names, str) else names
                         for names in ((own, foreign) if to_foreign else (foreign, own)))
        for key in given:
            found = _expression(before[0]).fullmatch(key)
            if found is None:
                continue
            sources, targets = ([_fill(name, found) for name in names] for names in (before, after))
            if not all(source in given for source in sources):
                continue  # then a target is missing, and the caller says so
            used.update(sources)
            tensors = [given[source] for source in sources]
            try:
                if len(sources) > len(targets):
                    tensors = [torch.cat(tensors)]
                elif len(sources) < len(targets):
                    tensors = tensors[0].chunk(len(targets))
                for name in changes:
                    change = CHANGES[name][to_foreign]
                    tensors = [change(tensor) for tensor in tensors]
                converted.update(zip(targets, tensors, strict=True))
            except (RuntimeError, IndexError, ValueError):
                shapes = ', '.join(f'{source}: {tuple(given[source].shape)}' for source in sources)
                raise CheckpointError(f'{", ".join(targets)} cannot be made of tensors of such '
                                      f'shapes: {shapes}') from None
    return converted, [key for key in given if key not in used]


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    expression = re.escape(pattern).replace(r'\{i\}', r'(?P<i>\d+)')
    return re.compile(expression.replace(r'\{\*\}', '(?P<kind>weight|bias)'))


def _fill(name: str, found: re.Match[str]) -> str:
    values = found.groupdict()
    return name.replace('{i}', values.get('i', '')).replace('{*}', values.get('kind', ''))


def whole_groups(missing: Collection[str], own: Iterable[str],
                 patterns: tuple[str, ...]) -> list[str]:
    """The missing keys that a layout calls new: only where a whole group of them is missing.

    Half a sorting head is an error, none at all is not.
    """
    found = []
    for pattern in patterns:
        group = [key for key in own if _expression(pattern).match(key)]
        if all(key in missing for key in group):
            found += group
    return found


def _missing(missing: list[str], own: Mapping[str, Tensor]) -> list[str]:
    """The missing keys; of a part that is missing as a whole its name, and what to do."""
    lines = list(missing)
    for part in OPTIONAL_PARTS:
        group = [key for key in own if key.startswith(part)]
        if group and set(group) <= set(missing) and len(group) < len(own):
            name = part.rstrip('.')
            lines = [key for key in lines if key not in group]
            lines.append(
                f'{part}*, the whole part: leave it out (model.{name}=None), or let each part take '
                f"weights of its own (model.{name}.init_cfg=dict(type='Pretrained', "
                'checkpoint=...)) instead of load_from')
    return lines


def _summary(keys: list[str]) -> str:
    """The first names of the keys, block numbers left out, each once."""
    stems = (re.sub(r'\.\d+\.', '.*.', key).split('.') for key in keys)
    return ', '.join(dict.fromkeys(
        '.'.join(stem[:1] if f'{stem[0]}.' in ('neck.', *HEADS) else stem[:4]) for stem in stems))
