"""Bring a state dict of any known layout into ours, and let nothing be lost on the way."""

import re
from collections.abc import Iterable, Mapping

import torch
from mmengine.logging import print_log
from torch import Tensor

from .entries import describe, report_lines, take_weights
from .errors import CheckpointError
from .layouts import LAYOUTS, Layout, Names
from .positions import RESIZERS, SPATIAL

# Parts of a model that a config may leave out: their weights are then not needed.
OPTIONAL_PARTS = ('backbone.', 'neck.', 'sorting_head.', 'cls_head.')


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
            dropped (names), resized (lines) and, unless it is there, file (see
            :func:`.entries.take_weights`).

    Returns:
        A state dict with exactly the names of ``own``.

    Raises:
        CheckpointError: unknown layout; missing or unused keys; sizes that differ. All of them are
            listed.
    """
    given, source = take_weights(given) or (given, None)
    layout = detect_layout(given)
    converted, unused = convert_names(given, layout)
    resized_positions = _resize_positions(converted, own, layout) if interpolate_positions else []

    absent_parts = tuple(part for part in OPTIONAL_PARTS
                         if not any(key.startswith(part) for key in own))
    unneeded = [key for key in converted if key not in own and key.startswith(absent_parts)]
    unused += [key for key in converted if key not in own and key not in unneeded]
    missing = [key for key in own if key not in converted]
    new = _whole_groups(missing, own, layout.new)
    missing = [key for key in missing if key not in new]
    resized = [
        f'{key}: {tuple(converted[key].shape)} in the checkpoint, {tuple(own[key].shape)} by the '
        'config' for key in own
        if key in converted and converted[key].shape != own[key].shape
    ]
    whole = [f'{key}: {converted[key].dtype}' for key in own if key in converted
             and own[key].is_floating_point() and not converted[key].is_floating_point()]
    problems = [
        f'{title}:\n  ' + '\n  '.join(names)
        for title, names in (('sizes differ', resized), ('missing in the checkpoint', missing),
                             ('not used by the model', unused),
                             ('whole numbers, as of quantised weights', whole)) if names
    ]
    # Not where the patches or the width differ as well: then it is another model.
    if resized and not interpolate_positions and all(
            line.split(':')[0] in RESIZERS for line in resized):
        problems.append('(position tables are resized on request: interpolate_positions=True of '
                        'the model, --interpolate-positions of tools/convert_checkpoint.py)')
    if problems:
        raise CheckpointError(
            f'the checkpoint (layout: {layout.name}) does not fit the model config.\n'
            + '\n'.join(problems))
    if report is not None:
        dropped = [key for key in given if any(_match(name, key) for name in layout.dropped)]
        report.update(layout=layout.name, tensors=len(own), taken=len(own) - len(new),
                      new=sorted(new), unneeded=sorted(unneeded), dropped=sorted(dropped),
                      resized=list(resized_positions))
        report.setdefault('file', source)
    summary = f'checkpoint layout {layout.name}: {len(own) - len(new)} of {len(own)} tensors taken'
    if new:
        summary += f'; new, kept at their initial values: {_summary(new)}'
    if unneeded:
        summary += f'; not needed by this model: {_summary(unneeded)}'
    summary += ''.join(f'; resized {line}' for line in resized_positions)
    if source['taken_off'] or source['dropped']:  # not after a file was read: it has said so
        summary += ''.join(f'; {line}' for line in report_lines(source))
    print_log(summary, logger='current')
    return {key: own[key] if key in new else converted[key] for key in own}


def _resize_positions(converted: dict[str, Tensor], own: Mapping[str, Tensor],
                      layout: Layout) -> list[str]:
    """Resize in place the position tables whose number of rows alone differs; say which."""
    done = []
    for key, resize in RESIZERS.items():
        if key not in converted or key not in own:
            continue
        table, rows = converted[key], len(own[key])
        if len(table) != rows and table.shape[1:] == own[key].shape[1:]:
            try:
                options = dict(antialias=layout.antialias) if key == SPATIAL else {}
                converted[key] = resize(table, rows, **options)
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
    raise CheckpointError(
        f'unknown checkpoint layout. It has none of the keys by which layouts are told:\n{known}\n'
        f'It has: {describe(given)}')


def convert_names(given: Mapping[str, Tensor],
                  layout: Layout,
                  to_foreign: bool = False) -> tuple[dict[str, Tensor], list[str]]:
    """Apply a layout's rules.

    Args:
        given: tensors by the layout's names, or by ours with ``to_foreign``.
        layout: whose rules to use.
        to_foreign: from our names to the layout's instead.

    Returns:
        The tensors by their new names, and the keys that no rule knows.
    """
    if not layout.rules:
        return dict(given), []
    converted: dict[str, Tensor] = {}
    used: set[str] = {key for key in given if any(_match(name, key) for name in layout.dropped)}
    for foreign, own, *flags in layout.rules:
        before, after = (own, foreign) if to_foreign else (foreign, own)
        first = before if isinstance(before, str) else before[0]
        for key in given:
            found = _match(first, key)
            if found is None:
                continue
            sources, targets = _fill(before, found), _fill(after, found)
            if not all(source in given for source in sources):
                continue  # then a target is missing, and the caller says so
            used.update(sources)
            tensors = [given[source] for source in sources]
            if len(sources) > len(targets):
                tensors = [torch.cat(tensors)]
            elif len(sources) < len(targets):
                tensors = tensors[0].chunk(len(targets))
            if 'T' in flags:
                tensors = [tensor.t() for tensor in tensors]
            converted.update(zip(targets, tensors, strict=True))
    return converted, [key for key in given if key not in used]


def _match(pattern: str, key: str) -> re.Match | None:
    expression = re.escape(pattern)
    expression = expression.replace(r'\{i\}', r'(?P<i>\d+)')
    expression = expression.replace(r'\{\*\}', '(?P<kind>weight|bias)')
    return re.fullmatch(expression, key)


def _fill(names: Names, found: re.Match) -> list[str]:
    values = found.groupdict()
    return [
        name.replace('{i}', values.get('i', '')).replace('{*}', values.get('kind', ''))
        for name in ((names, ) if isinstance(names, str) else names)
    ]


def _whole_groups(missing: list[str], own: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    """The missing keys that a layout calls new: only where a whole group of them is missing.

    Half a sorting head is an error, none at all is not.
    """
    found = []
    for pattern in patterns:
        expression = re.compile(re.escape(pattern).replace(r'\{i\}', r'\d+'))
        group = [key for key in own if expression.match(key)]
        if all(key in missing for key in group):
            found += group
    return found


def _summary(keys: list[str]) -> str:
    """The first names of the keys, block numbers left out, each once."""
    stems = (re.sub(r'\.\d+\.', '.*.', key).split('.') for key in keys)
    return ', '.join(dict.fromkeys(
        '.'.join(stem[:1] if stem[0] in ('neck', 'sorting_head', 'cls_head') else stem[:4])
        for stem in stems))
