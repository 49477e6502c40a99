"""Which architectures of others are read, as a table: see blocks.py."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST = 140  # characters of a message


def block(library: str, file: str) -> str:
    """The table of a library by the record of ``python -m tests.foreign_architectures``.

    Architectures that are refused for the same reason share a row.
    """
    rows: dict[str, list[str]] = {}
    for name, found in json.loads((ROOT / file).read_text('utf-8'))[library].items():
        reason = re.sub(r'^(is no config .*: model_type=).*', r'\1…', found)
        reason = re.sub(r'(timm_model_name|layers|hf_model_name|multimodal_cfg)=.*(?= is not)',
                        r'\1=…', reason)
        if len(reason) > MOST:
            reason = f'{reason[:MOST]}…'
        rows.setdefault(reason, []).append(name)
    lines = ['| architectures | |', '|---|---|']
    for reason, names in sorted(rows.items(), key=lambda row: not row[0].startswith('equal')):
        text = reason.replace('|', '\\|')
        lines.append(f'| {", ".join(names)} | ' + (
            text if reason.startswith('equal') else f'refused: `{text}`') + ' |')
    return '\n'.join(lines)
