"""The tables and plots of the study."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tvtsv2_mm.experiments.study.settings import (
    GUARDED,
    PARTS,
    RATES,
    SCORES,
    SETTINGS,
    Row,
)
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.files import to_json, write_atomically
from tvtsv2_mm.utils.tables import markdown_table

Figures = Mapping[str, Mapping[str, float]]  # {model: {measure: value}}
Searched = Mapping[str, Mapping[str, Mapping[str, float]]]  # {setting: {rate: {kind: score}}}
BASE_TITLE = 'tiny CLIP, the start'


def write_report(folder: Path, name: str, runs: Mapping[int, Figures]) -> str:
    """Write a part's figures, table and plot into ``folder``; returns the table.

    Args:
        folder: gets ``NAME.json``, ``NAME.md`` and ``NAME.png``.
        name: of the part.
        runs: figures by seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = {measure for row in PARTS[name].rows for measure in row.measures}
    figures = {seed: {model: {measure: round(value, 4) for measure, value in found.items()
                              if measure in shown} for model, found in run.items()}
               for seed, run in runs.items()}
    write_atomically(folder / f'{name}.json', to_json(figures))
    table = part_table(name, list(runs.values()))
    write_atomically(folder / f'{name}.md', f'{table}\n'.encode())
    draw(folder / f'{name}.png', name, list(runs.values()))
    return table


def write_search(folder: Path, runs: Mapping[int, Searched]) -> str:
    """Write the scores of a search, ``search.json`` and ``search.md``; returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / 'search.json', to_json(runs))
    table = search_table(list(runs.values()))
    write_atomically(folder / 'search.md', f'{table}\n'.encode())
    return table


def search_table(runs: Sequence[Searched]) -> str:
    """Markdown: a line a setting, a column a rate; the best of a line is bold."""
    rates = [f'{rate:g}' for rate in RATES]
    lines = [['things / motions; drift, deepest fall', *rates]]
    for name in runs[0]:
        found = {rate: {measure: mean(run[name][rate][measure] for run in runs)
                        for measure in (*SCORES, *GUARDED)}
                 for rate in rates if all(rate in run[name] for run in runs)}
        best = max(found, key=lambda rate: sum(found[rate][kind] for kind in SCORES))
        lines.append([SETTINGS[name].title, *(
            _scores(found[rate], rate == best) if rate in found else '-' for rate in rates)])
    return markdown_table(lines)


def _scores(found: Mapping[str, float], is_best: bool) -> str:
    scores = ' / '.join(f'{found[kind]:.1f}' for kind in SCORES)
    drift, fall = (found[measure] for measure in GUARDED)
    return f'{f"**{scores}**" if is_best else scores}; {drift:.2f}, {fall:.0f}'


def values_of(runs: Sequence[Figures], model: str, row: Row) -> list[float]:
    """One number a seed: the mean of the row's measures; none where the model has no such."""
    return [mean(run[model][measure] for measure in row.measures) for run in runs
            if all(measure in run[model] for measure in row.measures)]


def part_table(name: str, runs: Sequence[Figures]) -> str:
    """Markdown: a line a measure, a column a setting; mean and standard deviation over seeds."""
    part = PARTS[name]
    models = ('clip', *part.settings)
    lines = [['held-out videos, %', 'chance', BASE_TITLE,
              *(SETTINGS[setting].title for setting in part.settings)]]
    for row in part.rows:
        cells = [_cell(values_of(runs, model, row), row.digits) for model in models]
        lines.append([row.title, '-' if row.chance is None else f'{row.chance:.1f}', *cells])
    return markdown_table(lines)


def _cell(values: Sequence[float], digits: int) -> str:
    if not values:
        return '-'
    spread = f' ± {stdev(values):.{digits}f}' if len(values) > 1 else ''
    return f'{mean(values):.{digits}f}{spread}'


def draw(path: Path, name: str, runs: Sequence[Figures]) -> None:
    """One panel a measure: the settings' means as bars, each seed as a point, chance as a line."""
    with needed_for('drawing'):
        import matplotlib
        matplotlib.use('Agg')  # no screen is needed
        import matplotlib.pyplot as plt

    part = PARTS[name]
    models = ('clip', *part.settings)
    rows = [row for row in part.rows if len(row.title) < 70][:9]
    figure, grid = plt.subplots(-(-len(rows) // 3), 3, figsize=(15, 4 * -(-len(rows) // 3)),
                                layout='constrained', squeeze=False)
    for axis, row in zip(grid.flat, rows, strict=False):
        found: dict[str, Any] = {model: values_of(runs, model, row) for model in models}
        found = {model: values for model, values in found.items() if values}
        axis.bar(list(found), [mean(values) for values in found.values()], color='lightsteelblue')
        for model, values in found.items():
            axis.scatter([model] * len(values), values, color='black', s=12, zorder=2)
        if row.chance is not None:
            axis.axhline(row.chance, color='grey', linestyle=':')
            axis.set_ylim(0, 100)
        axis.set_title(row.title, fontsize=9)
        axis.tick_params(axis='x', labelrotation=30, labelsize=8)
    for axis in list(grid.flat)[len(rows):]:
        axis.set_axis_off()
    write_atomically(path, partial(figure.savefig, format='png', dpi=90))
    plt.close(figure)
