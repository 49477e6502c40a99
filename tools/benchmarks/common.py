"""What the benchmarks share: the machine, progress, and the peak memory of a call."""

import os
import platform
import resource
import sys
from collections.abc import Callable, Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path


def machine(packages: Iterable[str]) -> dict[str, object]:
    """What the figures were measured on, and with which versions of these packages."""
    cpu = next((line.split(':')[1].strip() for line in Path('/proc/cpuinfo').read_text().split('\n')
                if line.startswith('model name')), platform.machine())
    return dict(date=date.today().isoformat(), cpu=cpu, cores=os.cpu_count(),
                python=platform.python_version(), load=os.getloadavg(),
                packages={name: version(name) for name in packages})


def show_progress(text: str) -> None:
    """Tell where a long measurement is."""
    print(text, file=sys.stderr, flush=True)


def peak_above_rest(call: Callable[[], object]) -> int:
    """Bytes that this process had at the most during the call above what it has now (Linux)."""
    before = int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    call()
    status = Path('/proc/self/status').read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))
    return peak - before
