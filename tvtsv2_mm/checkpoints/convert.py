"""Bring a state dict of any known layout into ours, and let nothing be lost on the way."""

import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from .description import Description, check_model, check_refused, description_of
from .entries import describe, report_lines, take_weights
from .errors import CheckpointError, naming
from .fitting import OPTIONAL_PARTS, check_fit, expression, whole_groups
from .hugging_face import is_library, name_parts
from .layouts import CHANGES, HEADS, LAYOUTS, Layout
from .lora import adapters_of, common_adapters, merge_lora, under_names_of, without_adapters
from .openmmlab import is_foreign, name_backbone
from .positions import SPATIAL, TEMPORAL, resize_spatial, resize_temporal


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
        told = description_of(weights, metadata, report['layout'])
        if is_library(own):
            told = replace(told, notes=())  # on what our own towers do otherwise
        unknown, lines = check_model(told, model, report)
    if 'tokenizer' in told.neck:
        report['tokenizer'] = told.neck['tokenizer']
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
    absent = _absent_parts(weights, own)
    plain, adapters, lora = _settle_adapters(weights, own, absent)
    bare = without_adapters(own)
    converted, unused = convert_names(plain, layout)
    resized = _resize_positions(converted, bare, layout) if interpolate_positions else []
    others = [key for key in converted if key not in bare]
    unneeded = [*left, *(key for key in plain if key.startswith(layout.unneeded)),
                *(key for key in others if key.startswith(absent))]
    new = whole_groups([key for key in bare if key not in converted], bare, layout.new)
    check_fit(converted, bare, layout, new=new,
              unused=unused + [key for key in others if key not in unneeded])
    dropped, lost = ([key for key in plain
                      if any(expression(name).fullmatch(key) for name in names)]
                     for names in (layout.dropped, layout.lost))
    report.update(layout=layout.name, tensors=len(bare), taken=len(bare) - len(new),
                  new=sorted(new), unneeded=sorted(unneeded), dropped=sorted(dropped),
                  lost=sorted(lost), resized=resized)
    report.setdefault('file', source)
    if lora:
        report['lora'] = '; '.join(lora)
    _log(report, source)
    fitted = {key: bare[key] if key in new else converted[key] for key in bare}
    return under_names_of(own, fitted) | adapters, layout


def _absent_parts(weights: Iterable[str], own: Iterable[str]) -> tuple[str, ...]:
    """The parts that the model does not have, or as another kind of head (of a recognizer)."""
    other_head = not {key for key in weights if key.startswith('cls_head.')} & {*own}
    return tuple(part for part in OPTIONAL_PARTS
                 if not any(key.startswith(part) for key in own)
                 or (part == 'cls_head.' and other_head))


def _settle_adapters(weights: Mapping[str, Tensor], own: Mapping[str, Tensor],
                     absent: tuple[str, ...]) -> tuple[
                         dict[str, Tensor], dict[str, Tensor], list[str]]:
    """Merge the adapters (LoRA) that the model does not have.

    Returns:
        The weights without adapters; the adapters of the model, from the weights where they have
        the same; and lines on what was done.
    """
    kept = common_adapters(weights, own)
    adapters = adapters_of(own) | kept
    lines = []
    if any(key not in kept and not key.startswith(absent) for key in adapters_of(weights)):
        lines.append('its adapters (LoRA) are merged')
    if len(adapters) > len(kept):
        lines.append('adapters (LoRA) are new')
    return merge_lora(weights, kept), adapters, lines


def _log(report: Mapping[str, Any], source: dict) -> None:
    lines = [f'checkpoint layout {report["layout"]}: {report["taken"]} of {report["tensors"]} '
             'tensors taken']
    if report['new']:
        lines.append(f'new, kept at their initial values: {_summary(report["new"])}')
    if report['unneeded']:
        lines.append(f'not needed by this model: {_summary(report["unneeded"])}')
    lines += [f'resized {line}' for line in report['resized']]
    if 'lora' in report:
        lines.append(report['lora'])
    # Not after a file was read: it has said so.
    if source.get('taken_off') or source.get('dropped'):
        lines += report_lines(source)
    print_log('; '.join(lines), logger='current')


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
        expression(name).fullmatch(key)
        for name in (*layout.dropped, *layout.lost, *layout.zero))}
    for key in layout.zero:
        if key in given and not given[key].is_meta and given[key].any():
            raise CheckpointError(f'{key} is not 0, as it is in what was published: it has no '
                                  'place here')
    for foreign, own, *changes in layout.rules:
        before, after = ((names, ) if isinstance(names, str) else names
                         for names in ((own, foreign) if to_foreign else (foreign, own)))
        for key in given:
            found = expression(before[0]).fullmatch(key)
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


def _fill(name: str, found: re.Match[str]) -> str:
    values = found.groupdict()
    return name.replace('{i}', values.get('i', '')).replace('{*}', values.get('kind', ''))


def _summary(keys: list[str]) -> str:
    """The first names of the keys, each once; block numbers are left out."""
    lengths = {'backbone.': 4, **dict.fromkeys(('neck.', *HEADS), 1)}
    stems = (re.sub(r'\.\d+\.', '.*.', key).split('.') for key in keys)
    return ', '.join(dict.fromkeys(
        '.'.join(stem[:lengths.get(f'{stem[0]}.', 2)]) for stem in stems))
