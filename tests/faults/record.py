"""What faults did, counted: for docs/reliability.md (tools/docs/reliability.py).

    pytest -m faults --faults-long --faults-record docs/reliability.json
"""

import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tvtsv2_mm.utils.files import write_atomically

LONG, RECORD = 'TVTSV2_FAULTS_LONG', 'TVTSV2_FAULTS_RECORD'

ONLY_LONG = pytest.mark.skipif(f'not os.environ.get({LONG!r})', reason='of the long run alone')


def cases(few: int, many: int = 20) -> int:
    """How many cases of a fault to try: a few in every run of tests, many with --faults-long."""
    return many if os.environ.get(LONG) else few


def record(part: str, fault: str, *, injected: int, survived: int = 0, refused: int = 0,
           lost: int = 0) -> None:
    """Keep how often a fault was injected and what became of it, and fail where anything was lost.

    Args:
        part: of the package ('checkpoints'), a table of the document.
        fault: what was done, the row.
        injected: how often.
        survived: how often the run, or the next one, went on and ended with the same result.
        refused: how often one clear error told what is wrong, and nothing was half-written.
        lost: how often something else happened.
    """
    told = dict(injected=injected, survived=survived, refused=refused, lost=lost)
    keep(part, fault, told)
    assert lost == 0 and injected == survived + refused, (part, fault, told)


def keep(part: str, name: str, told: Any) -> None:
    """Write what was found into the record, if one is asked for."""
    if os.environ.get(RECORD):
        path = Path(os.environ[RECORD])
        # Not beside the record: git would see it.
        with open(Path(tempfile.gettempdir(), 'tvtsv2_mm-faults.lock'), 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = json.loads(path.read_text()) if path.is_file() else {}
            found.setdefault(part, {})[name] = told
            text = json.dumps(found, indent=1, sort_keys=True) + '\n'
            write_atomically(path, text.encode())
