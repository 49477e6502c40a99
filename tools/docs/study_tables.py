"""A part's table of docs/study.md, of the figures in docs/study: see blocks.py."""

import json
from pathlib import Path

from tvtsv2_mm.experiments.study.report import part_table

FOLDER = Path(__file__).parents[2] / 'docs' / 'study'


def block(part: str) -> str:
    """The table, and of which seeds it is."""
    runs = json.loads((FOLDER / f'{part}.json').read_text('utf-8'))
    seeds = ', '.join(runs)
    return f'Seeds: {seeds}.\n\n{part_table(part, list(runs.values()))}'
