"""The tables of the documents, from results; tables.yml says what each shows.

``python tools/docs/blocks.py`` renews the blocks that name this file.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LAYOUTS = yaml.safe_load(Path(__file__).with_suffix('.yml').read_text('utf-8'))


def markdown(name: str, rows: Iterable[Mapping]) -> str:
    """A table of the rows that it is for, without empty columns; empty where there are none."""
    layout = LAYOUTS[name]
    chosen = [row for row in rows if layout['rows'].items() <= row.items()]
    columns = [[heading, '---', *(fill(templates, row) for row in chosen)]
               for heading, *templates in layout['columns']]
    lines = zip(*(column for column in columns if any(column[2:])), strict=True)
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def fill(templates: Iterable[str], row: Mapping) -> str:
    """The first template of whose fields the row has all."""
    for template in templates:
        with suppress(KeyError):
            return template.format_map(row)
    return ''


def block(name: str, *files: str) -> str:
    """A table of result files."""
    return markdown(name, [row for file in files
                           for row in json.loads((ROOT / file).read_text('utf-8'))['rows']])
