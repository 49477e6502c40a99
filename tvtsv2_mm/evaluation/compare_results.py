"""Result files side by side, and beside the paper's figures."""

from collections.abc import Sequence
from typing import Any

from terminaltables import AsciiTable

from tvtsv2_mm.evaluation.paper_figures import PAPER_FIGURES

NOTE = 'Columns "paper: ..." are the figures of arXiv 2305.14173; nothing here has reproduced them.'
VIEWS = ('frames', 'sampling', 'spacing', 'spacing_used', 'fps', 'clips', 'clip_seconds', 'crops',
         'crop', 'crop_size', 'short_side', 'interpolation', 'keep_ratio', 'square_pixels',
         'short_clip')
COUNTS = ('annotated', 'used', 'missing', 'failed')


# What a table of systems tells of each, in a line.
OF_PEERS = ('protocol of', 'backbone', 'frames', 'clips x crops', 'scaled to', 'prompts',
            'normalisation', 'weights')


def compare(results: Sequence[dict[str, Any]], names: Sequence[str], paper: bool = True,
            peers: bool = False) -> str:
    """Tables of result files, named as given; one for each protocol and benchmark.

    With ``paper`` they show the paper's figures too. With ``peers`` a table has a line for each
    system, and in its columns the figures and what decides whether they can be compared.
    """
    groups: dict[tuple, list[int]] = {}
    for index, result in enumerate(results):
        groups.setdefault((result.get('protocol'), result.get('benchmark')), []).append(index)
    figures = {key: PAPER_FIGURES.get(key, {}) if paper else {} for key in groups}
    make = _peers if peers else _table
    parts = [make(' on '.join(map(str, key)), [results[i] for i in members],
                  [names[i] for i in members], figures[key]) for key, members in groups.items()]
    note = NOTE.replace('Columns', 'Lines') if peers else NOTE
    return '\n\n'.join([*parts, *[note] * any(figures.values())])


def _table(title: str, results: list[dict], names: list[str], figures: dict[str, dict]) -> str:
    facts = [_facts(result) for result in results]
    rows = [*_figures(results, names, figures), *_rows_of(facts, len(figures))]
    # A title inside the frame would be left out where it is wider than the table.
    text = f'{title}\n{AsciiTable(rows).table}'
    if len(results) > 1:
        text += '\n* the runs differ here'
    return text


def _peers(title: str, results: list[dict], names: list[str], figures: dict[str, dict]) -> str:
    facts = [_facts(result) for result in results]
    own = [{name: values.get(name, '-') for name in OF_PEERS} for values in map(_of_peer, results)]
    rows = [*_figures(results, names, figures), *_rows_of(own, len(figures))]
    text = f'{title}\n{AsciiTable([*map(list, zip(*rows, strict=True))]).table}'
    for name in ('split sha256', 'videos used'):
        if len({values[name] for values in facts}) > 1:
            told = ', '.join(f'{own} {values[name]}' for own, values in
                             zip(names, facts, strict=True))
            text += f'\nnot comparable: {name} differs: {told}'
    if len(results) > 1:
        text += '\n* the systems differ here'
    return text


def _figures(results: list[dict], names: list[str], figures: dict[str, dict]) -> list[list[str]]:
    """A row for each metric, below the names of the columns."""
    columns = [result['metrics'] for result in results] + list(figures.values())
    keys = dict.fromkeys((group, name) for column in columns
                         for group, values in column.items() for name in values)
    order = ('raw', 'dsl', 'qb')
    rows = [['', *names, *(f'paper: {model}' for model in figures)]]
    for group, name in sorted(keys, key=lambda key: (
            order.index(key[0]) if key[0] in order else len(order))):
        values = [column.get(group, {}).get(name) for column in columns]
        rows.append([name if group == 'raw' else f'{name} ({group.upper()})',
                     *('-' if value is None else f'{value:.1f}' for value in values)])
    return rows


def _rows_of(facts: list[dict[str, str]], num_blanks: int) -> list[list[str]]:
    """A row for each fact that somebody tells."""
    rows = []
    for name in dict.fromkeys(name for own in facts for name in own):
        values = [own.get(name, '-') for own in facts]
        # Unknown counts are told; what the protocol does not have is left out.
        if set(values) == {'-'} and not name.startswith('videos'):
            continue
        mark = '' if len(set(values)) == 1 else ' *'
        rows.append([name + mark, *values, *[''] * num_blanks])
    return rows


def _of_peer(result: dict) -> dict[str, str]:
    """What a reader must know of a system in a line."""
    facts, views = _facts(result), result.get('views') or {}
    known = {key: value for key, value in views.items() if value is not None}
    pixels = known.get('crop_size') or known.get('short_side')
    shape = '' if known.get('keep_ratio', True) else ', squeezed'
    return facts | {
        'frames': ' '.join(str(known[name]) for name in ('frames', 'sampling') if name in known),
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
