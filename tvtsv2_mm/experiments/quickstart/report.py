"""The figures of one or several seeds as a table, and whether they hold."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from terminaltables import AsciiTable

from tvtsv2_mm.utils.files import write_atomically
from tvtsv2_mm.utils.tables import markdown_table

# Title of a row, protocol, metric, chance in per cent.
ROWS = (
    ('zero-shot recognition, 6 motions, top-1', 'zero-shot', 'acc/top1', 100 / 6),
    ('text-to-video retrieval, 108 videos, R@1', 'retrieval', 't2v/R1', 100 / 108),
    ('video-to-text retrieval, 108 videos, R@1', 'retrieval', 'v2t/R1', 100 / 108),
    ('transcript sorting, 4 transcripts, each', 'sorting', 'sorting/per_transcript', 100 / 4),
    ('linear probe, 6 motions, top-1', 'linear-probe', 'acc/top1', 100 / 6),
)
COLUMNS = ('untrained', 'clip', 'tvtsv2')
HEADER = ('held-out videos, %', 'chance', 'untrained', 'tiny CLIP', 'TVTSv2')
MATCHING = 'the same, frames matched to texts (no head)'
MARGIN = 5.0  # points by which "better" is meant
NOTE = ('The tiny CLIP has no sorting head: its 4 transcripts are sorted by an untrained one; the '
        'row below says how far it gets by matching each transcript with the frames.')


def beats_all(figures: dict[str, Any]) -> list[str]:
    """Rows in which the trained model is not clearly better than chance and both others."""
    weak = []
    for title, protocol, metric, chance in ROWS:
        own = figures[protocol]['tvtsv2'][metric]
        best = max(chance, *(figures[protocol][m][metric] for m in ('untrained', 'clip')))
        if own < best + MARGIN:
            weak.append(f'{title}: {own:.1f} against {best:.1f}')
    return weak


def _rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    def cell(values: list[float]) -> str:
        if len(values) == 1:
            return f'{values[0]:.1f}'
        return f'{mean(values):.1f} ± {stdev(values):.1f}'

    rows = []
    for title, protocol, metric, chance in ROWS:
        rows.append([title, f'{chance:.1f}', *(
            cell([run['figures'][protocol][model][metric] for run in runs]) for model in COLUMNS)])
        if protocol == 'sorting':
            matched = [run['figures']['frame-matching']['clip'][metric] for run in runs]
            rows.append([MATCHING, f'{chance:.1f}', '-', cell(matched), '-'])
    return rows


def seeds_table(runs: Sequence[dict[str, Any]]) -> str:
    """Markdown table of the runs; mean and standard deviation where there are several."""
    return markdown_table([HEADER, *_rows(runs)])


def write_report(folder: Path, runs: Sequence[dict[str, Any]]) -> str:
    """Write ``figures.json`` and ``table.md``; returns the table for the terminal."""
    write_atomically(folder / 'figures.json', json.dumps(list(runs), indent=1).encode())
    write_atomically(folder / 'table.md', f'{seeds_table(runs)}\n\n{NOTE}\n'.encode())
    return f'{AsciiTable([list(HEADER), *_rows(runs)]).table}\n{NOTE}'
