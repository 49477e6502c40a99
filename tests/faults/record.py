"""What faults did, counted: for docs/reliability.md (tools/docs/reliability.py).

    pytest -m faults --faults-cases 20 --faults-record docs/reliability.json
"""

import fcntl
import json
import os
import tempfile
from pathlib import Path

from tvtsv2_mm.utils.files import write_atomically

CASES, RECORD = 'TVTSV2_FAULTS_CASES', 'TVTSV2_FAULTS_RECORD'


def cases(few: int) -> int:
    """How many cases of a fault to try: a few, or as many as --faults-cases says."""
    return int(os.environ.get(CASES) or few)


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
    if os.environ.get(RECORD):
        path = Path(os.environ[RECORD])
        # Not beside the record: git would see it.
        with open(Path(tempfile.gettempdir(), 'tvtsv2_mm-faults.lock'), 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = json.loads(path.read_text()) if path.is_file() else {}
            found.setdefault(part, {})[fault] = told
            text = json.dumps(found, indent=1, sort_keys=True) + '\n'
            write_atomically(path, text.encode())
    assert lost == 0 and injected == survived + refused, (part, fault, told)
