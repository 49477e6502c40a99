"""Steps that are done once: each leaves a stamp of what went into it."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STAMP = 'done.json'


class Stages:
    """Run named stages in a folder, and skip those that are finished.

    A stage is finished when its folder holds a stamp of the same inputs. The stamp holds its
    outcome too, so that the next stages, and the next run, need nothing else.

    Args:
        root: Folder of the run; every stage has a folder of its own in it.
        total: How many stages there will be, for the banners.
        title: What the banners begin with.
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
        """Do a stage, unless it is finished.

        Args:
            name: Name of the stage, and of its folder.
            inputs: Everything that its outcome depends on, as JSON.
            work: Does it in the folder given and returns the outcome, as JSON.

        Returns:
            The outcome, with ``stamp``: put it into the inputs of stages that build on this one.
        """
        self._count += 1
        folder = self.root / name
        stamp = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        if (folder / STAMP).is_file():
            outcome = json.loads((folder / STAMP).read_text(encoding='utf-8'))
            if outcome['stamp'] == stamp:
                self._say(f'{name}: finished before')
                self.seconds[name] = outcome['seconds']
                return outcome
        self._say(f'{name} ...')
        began = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STAMP).unlink(missing_ok=True)
        outcome = work(folder) | {'stamp': stamp, 'seconds': round(time.monotonic() - began, 1)}
        (folder / STAMP).write_text(json.dumps(outcome, indent=1), encoding='utf-8')
        self.seconds[name] = outcome['seconds']
        return outcome

    def _say(self, text: str) -> None:
        seconds = int(time.monotonic() - self._started)
        print(f'=== {self.title} [{self._count}/{self.total}] {text} '
              f'({seconds // 60}:{seconds % 60:02d} so far)', flush=True)
