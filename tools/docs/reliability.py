"""A part's table of docs/reliability.md, of what its faults did: see blocks.py and tests/faults."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.tables import markdown_table

RECORD = Path(__file__).parents[2] / 'docs' / 'reliability.json'
COUNTS = ('injected', 'survived', 'refused', 'lost')


def block(part: str) -> str:
    """What was injected into a part of the package, how often, and what became of it."""
    found = json.loads(RECORD.read_text('utf-8'))[part]
    return _memory(found[part]) if part == 'soak' else _counts(found)


def _counts(found: dict[str, dict[str, int]]) -> str:
    """A line for each fault; those that share a name before a slash are added up."""
    faults: dict[str, Counter[str]] = {}
    for name, told in found.items():
        kind, slash, _ = name.partition('/')
        faults.setdefault(kind, Counter()).update(told, targets=bool(slash))
    rows = [[f'{kind} ({told["targets"]} targets)' if told['targets'] else kind,
             *(str(told[name]) for name in COUNTS)] for kind, told in sorted(faults.items())]
    return markdown_table([['fault', *COUNTS], *rows])


def _memory(found: dict[str, Any]) -> str:
    rows = [[kind, f'{found["resident"][kind]:.0f}',
             '{:.2f} ({:.2f} to {:.2f})'.format(*found['slope'][kind]),
             str(found['descriptors'][kind])] for kind in found['resident']]
    return markdown_table([
        ['process', 'resident, MB', 'MB a minute, 95 % interval', 'more descriptors'], *rows])
