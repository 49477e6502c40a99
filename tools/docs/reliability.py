"""A part's table of docs/reliability.md, of what its faults did: see blocks.py and tests/faults."""

import json
from pathlib import Path

RECORD = Path(__file__).parents[2] / 'docs' / 'reliability.json'


def block(part: str) -> str:
    """What was injected into a part of the package, how often, and what became of it."""
    found = json.loads(RECORD.read_text('utf-8'))[part]
    rows = [[fault, *(str(told[name]) for name in ('injected', 'survived', 'refused', 'lost'))]
            for fault, told in sorted(found.items())]
    head = ['fault', 'injected', 'survived', 'refused', 'lost']
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in (head, ['---'] * len(head), *rows))
