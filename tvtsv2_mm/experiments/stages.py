"""Steps that are done once: each leaves a stamp of what went into it."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.files import make_folder, read_json, to_json, write_atomically, writing

STAMP = 'done.json'


class Stages:
    """Run named stages, each in a folder of its own below ``root``; skip those that are finished.

    A stage is finished when its folder holds a stamp of the same inputs. The stamp holds its
    outcome too, so that the next stages, and the next run, need nothing else. Banners begin with
    the title and count up to ``total``.
    """

    def __init__(self, root: Path, *, total: int, title: str) -> None:
        self.root = root
        self.total = total
        self.title = title
        self.seconds: dict[str, float] = {}  # that each took when it was done
        self._count = 0
        self._started = time.monotonic()

    def run(self, name: str, inputs: dict[str, Any], work: Callable[[Path], dict[str, Any]],
            ) -> dict[str, Any]:
        """Do a stage in its folder, unless it is finished.

        Args:
            name: of the stage, and of its folder.
            inputs: everything that its outcome depends on; what builds on another stage takes the
                ``stamp`` of that one's outcome.
            work: does it in the folder given and returns the outcome; both are JSON.
        """
        self._count += 1
        folder = self.root / name
        stamp = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        if (folder / STAMP).is_file():
            outcome = read_json(folder / STAMP)
            if outcome['stamp'] == stamp:
                self._say(f'{name}: finished before')
                self.seconds[name] = outcome['seconds']
                return outcome
        self._say(f'{name} ...')
        began = time.monotonic()
        make_folder(folder)
        with writing(folder / STAMP):
            (folder / STAMP).unlink(missing_ok=True)
        outcome = work(folder) | {'stamp': stamp, 'seconds': round(time.monotonic() - began, 1)}
        write_atomically(folder / STAMP, to_json(outcome))
        self.seconds[name] = outcome['seconds']
        return outcome

    def _say(self, text: str) -> None:
        seconds = int(time.monotonic() - self._started)
        print(f'=== {self.title} [{self._count}/{self.total}] {text} '
              f'({seconds // 60}:{seconds % 60:02d} so far)', flush=True)
