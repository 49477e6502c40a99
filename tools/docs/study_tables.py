"""A table of docs/study.md, of the figures in docs/study: see blocks.py."""

import json
from pathlib import Path

from tvtsv2_mm.experiments.study.report import part_table, search_table

FOLDER = Path(__file__).parents[2] / 'docs' / 'study'


def block(part: str) -> str:
    """The table, and of which seeds it is."""
    runs = json.loads((FOLDER / f'{part}.json').read_text('utf-8'))
    figures = list(runs.values())
    table = search_table(figures) if part == 'search' else part_table(part, figures)
    return f'{"Seeds" if len(runs) > 1 else "Seed"}: {", ".join(runs)}.\n\n{table}'
