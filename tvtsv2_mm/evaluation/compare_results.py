"""Result files side by side, and beside the paper's figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terminaltables import AsciiTable

from tvtsv2_mm.evaluation.frame_drops import (
    NATURAL,
    drops,
    frames_shown,
    in_words,
    interval_of,
    pair_with_natural,
)
from tvtsv2_mm.evaluation.paper_figures import PAPER_FIGURES

NOTE = 'Columns "paper: ..." are the figures of arXiv 2305.14173; nothing here has reproduced them.'
INTERVALS = ('In brackets: 95 % intervals by the bootstrap over videos; those of drops are rather '
             'too wide, as if the runs were of different videos.')
VIEWS = ('frames', 'sampling', 'frames_shown', 'frames_seed', 'spacing', 'spacing_used', 'fps',
         'clips', 'clip_seconds', 'crops', 'crop', 'crop_size', 'short_side', 'interpolation',
         'keep_ratio', 'square_pixels', 'short_clip')
COUNTS = ('annotated', 'used', 'missing', 'failed')


# What a table of systems tells of each, in a line.
OF_PEERS = ('protocol of', 'backbone', 'frames', 'clips x crops', 'scaled to', 'prompts',
            'normalisation', 'weights')


@dataclass(kw_only=True)
class Column:
    """A column of a table (of systems, a line): figures in words by group and name, and facts."""

    title: str
    figures: dict[str, dict[str, str]]
    facts: dict[str, str] | None = None  # of a run


def compare(results: Sequence[dict[str, Any]], names: Sequence[str], paper: bool = True,
            peers: bool = False) -> str:
    """Tables of result files, named as given; one for each protocol and benchmark.

    Beside a run stands how far its figures fall in the runs of the same model that were shown
    their frames otherwise. With ``paper`` they show the paper's figures too. With ``peers`` a table
    has a line for each system, and in its columns the figures and what decides whether they can be
    compared.
    """
    groups: dict[tuple, list[int]] = {}
    for index, result in enumerate(results):
        groups.setdefault((result.get('protocol'), result.get('benchmark')), []).append(index)
    figures = {key: PAPER_FIGURES.get(key, {}) if paper else {} for key in groups}
    parts = [_table(' on '.join(map(str, key)), [results[i] for i in members],
                    [names[i] for i in members], figures[key], peers)
             for key, members in groups.items()]
    notes = {INTERVALS: any(map(_has_intervals, results)), NOTE: any(figures.values())}
    return '\n\n'.join([*parts, *(
        note.replace('Columns', 'Lines') if peers else note for note, told in notes.items()
        if told)])


_DIFFERS = ' *'  # behind the name of what is not the same in all runs


def _table(title: str, results: list[dict], names: list[str], figures: dict[str, dict],
           peers: bool) -> str:
    pairs = pair_with_natural(results)
    paired = {other for others in pairs.values() for other in others}
    columns, runs = [], [i for i in range(len(results)) if i not in paired]
    for i in runs:
        columns.append(_column(results[i], names[i], peers))
        columns += [Column(title=f'drop {frames_shown(results[other])}',
                           figures=drops(results[i], results[other]))
                    for other in pairs.get(i, [])]
    columns += [*_chance(results), *(Column(title=f'paper: {model}', figures={
        group: {name: in_words(value) for name, value in own.items()}
        for group, own in told.items()}) for model, told in figures.items())]
    rows = _rows(columns)
    marked = any(row[0].endswith(_DIFFERS) for row in rows)
    if peers:
        rows = [*map(list, zip(*rows, strict=True))]
    # A title inside the frame would be left out where it is wider than the table.
    lines = [title, AsciiTable(rows).table]
    lines += [f'{names[i]}: no run of the same model with its frames in order is beside it, so '
              f'that nothing is known of a drop with frames {frames_shown(results[i])}'
              for i in runs if i not in pairs]
    if peers:
        facts = {names[i]: _facts(results[i]) for i in runs}
        for name in ('split sha256', 'videos used'):
            if len({own[name] for own in facts.values()}) > 1:
                lines.append(f'not comparable: {name} differs: ' + ', '.join(
                    f'{run} {own[name]}' for run, own in facts.items()))
    if marked:
        lines.append(f'* the {"systems" if peers else "runs"} differ here')
    return '\n'.join(lines)


def _column(result: dict, name: str, peers: bool) -> Column:
    facts = _facts(result)
    if peers:
        own = _of_peer(result)
        facts = {fact: own.get(fact, '-') for fact in OF_PEERS}
    return Column(title=name, facts=facts, figures={
        group: {metric: in_words(value, interval_of(result, group, metric))
                for metric, value in own.items()} for group, own in result['metrics'].items()})


def _chance(results: list[dict]) -> list[Column]:
    """What guessing gives, in a column, where a run tells it; several if they are not alike."""
    told: dict[str, dict[str, dict[str, None]]] = {}
    for result in results:
        for group, figures in (result.get('chance') or {}).items():
            for name, value in figures.items():
                told.setdefault(group, {}).setdefault(name, {})[in_words(value)] = None
    figures = {group: {name: ' / '.join(words) for name, words in own.items()}
               for group, own in told.items()}
    return [Column(title='chance', figures=figures)] if any(told.values()) else []


def _has_intervals(result: dict) -> bool:
    return any((result.get('intervals') or {}).values())


def _rows(columns: list[Column]) -> list[list[str]]:
    """A row for each metric, below the names of the columns, and for each fact somebody tells."""
    keys = dict.fromkeys((group, name) for column in columns
                         for group, values in column.figures.items() for name in values)
    order = ('raw', 'dsl', 'qb')
    rows = [['', *(column.title for column in columns)]]
    for group, name in sorted(keys, key=lambda key: (
            order.index(key[0]) if key[0] in order else len(order))):
        rows.append([name if group == 'raw' else f'{name} ({group.upper()})',
                     *(column.figures.get(group, {}).get(name, '-') for column in columns)])
    facts = [column.facts for column in columns if column.facts is not None]
    for name in dict.fromkeys(name for own in facts for name in own):
        values = {own.get(name, '-') for own in facts}
        # Unknown counts are told; what the protocol does not have is left out.
        if values == {'-'} and not name.startswith('videos'):
            continue
        rows.append([name + ('' if len(values) == 1 else _DIFFERS), *(
            '' if column.facts is None else column.facts.get(name, '-') for column in columns)])
    return rows


def _of_peer(result: dict) -> dict[str, str]:
    """What a reader must know of a system in a line."""
    facts, views = _facts(result), result.get('views') or {}
    known = {key: value for key, value in views.items() if value is not None}
    pixels = known.get('crop_size') or known.get('short_side')
    shape = '' if known.get('keep_ratio', True) else ', squeezed'
    return facts | {
        'frames': ' '.join([str(known[name]) for name in ('frames', 'sampling') if name in known]
                           + [frames_shown(result)] * (frames_shown(result) != NATURAL)),
        'clips x crops': f'{known.get("clips", 1)} x {known.get("crops", 1)}',
        'scaled to': '-' if pixels is None else
        f'{pixels} of {known.get("short_side", "?")}, {known.get("interpolation")}{shape}',
        'weights': facts['checkpoint sha256'],
    }


def _facts(result: dict) -> dict[str, str]:
    """What a reader must compare before the figures."""
    views, split = result.get('views') or {}, result.get('split') or {}
    checkpoint, prompts = result.get('checkpoint') or {}, result.get('prompts')
    keys, bank = checkpoint.get('keys') or {}, result.get('query_bank') or {}
    facts = {'backbone': result.get('backbone'), **{name: views.get(name) for name in VIEWS}}
    facts |= views and {'frames_shown': views.get('frames_shown', NATURAL)}
    probe, pixels = result.get('probe'), result.get('normalisation')
    facts |= {
        'probe': probe and f'{probe["kind"]}, {probe["setting"]} = {probe["chosen"]}',
        'prompts': None if prompts is None else
        prompts[0] if len(prompts) == 1 else f'{len(prompts)} templates',
        'normalisation': pixels and ' / '.join(
            ' '.join(f'{value / 255:.3f}' for value in pixels[name]) for name in ('mean', 'std')),
        'protocol of': result.get('protocol_of'),
        'precision': result.get('precision'),
        'split sha256': _short(split.get('sha256')),
        **{f'videos {name}': split.get(name) for name in COUNTS},
        'query bank sha256': _short(bank.get('sha256')),
        'query bank texts': bank.get('texts'),
        'checkpoint sha256': _short(checkpoint.get('sha256')),
        'trained further': 'yes' if result.get('trained_further') else None,
        'checkpoint layout': keys.get('layout'),
        'tensors new / unneeded': f'{len(keys["new"])} / {len(keys["unneeded"])}' if keys else None,
        'config sha256': _short((result.get('config') or {}).get('sha256')),
        'tvtsv2_mm': (result.get('versions') or {}).get('tvtsv2_mm'),
        'torch': (result.get('versions') or {}).get('torch'),
    }
    return {name: '-' if value is None else str(value) for name, value in facts.items()}


def _short(digest: str | None) -> str | None:
    return digest and digest[:12]
