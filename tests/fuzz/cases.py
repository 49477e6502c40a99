"""Runs the numbered cases of a target in children that are watched; says what was not as it should.

A case is a seed and its changes, both by the name of the target and the number alone: the same
everywhere where the seeds are. A child that ends or hangs costs its case, and the next one goes on.
"""

import faulthandler
import gc
import json
import os
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.guards import Guard
from tests.fuzz.mutations import mutate
from tests.helpers import warm_process

_LONGEST_S = 120.0  # of a case that waits
_LONGEST_MESSAGE = 3000
_AGAIN = 17  # how a child ends that wants another one to go on


@dataclass(frozen=True)
class Seed:
    """Files below a folder that a target can read."""

    files: Mapping[str, bytes]  # those that are changed
    beside: Mapping[str, bytes] = field(default_factory=dict)  # and those that are not
    refused: bool = False  # whether it is an attack: an error from the start


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        name: of the target.
        seeds: makes them, in the folder given.
        read: reads what lies in a folder. Files that it writes go into ``out`` there.
        errors: what it documents to raise, these very classes.
        names: whether its errors name the file.
        deadline: of a case, in seconds of the processor: how busy a machine is does not count.
    """

    name: str
    seeds: Callable[[Path], list[Seed]]
    read: Callable[[Path], Any]
    errors: tuple[type[Exception], ...]
    names: bool = True
    deadline: int = 10


@dataclass
class Outcome:
    """What became of the cases of a target."""

    injected: int = 0
    read: int = 0  # that were read as if nothing was
    refused: int = 0  # with an error that is documented
    contained: int = 0  # crashes and hangs of a decoder in its own process, told as an error
    findings: dict[str, list[int]] = field(default_factory=dict)  # what else, and the first cases
    counts: Counter[str] = field(default_factory=Counter)  # of each finding


def case_of(target: Target, seeds: list[Seed], number: int) -> tuple[Seed, dict[str, bytes | None]]:
    """A case: its seed, and the files that differ from it."""
    rng = Random(f'{target.name}:{number}')
    seed = rng.choice(seeds)
    return seed, mutate(seed.files, rng)


def run_cases(target: Target, folder: Path, numbers: range) -> Outcome:
    """Run cases; ``folder`` is empty."""
    work = folder / 'case'
    (folder / 'seeds').mkdir()
    seeds = target.seeds(folder / 'seeds')
    outcome = Outcome()
    at = numbers.start
    while at < numbers.stop:
        log = folder / f'from_{at}.jsonl'
        child = warm_process(_run, args=(target, seeds, work, log, at, numbers.stop))
        child.start()
        child.join()  # it watches its own time
        entries = [json.loads(line) for line in log.read_text('utf-8').splitlines()]
        for entry in entries:
            _count(outcome, entry['case'], entry.get('found'), entry['kind'])
        done = entries[-1]['case'] + 1 if entries else at
        at = done
        if child.exitcode == 0:
            break
        if child.exitcode == _AGAIN:
            continue
        told = log.with_suffix('.trace').read_text('utf-8', 'replace')
        what = ('hang' if 'Timeout' in told or child.exitcode == -signal.SIGXCPU else
                f'the process ends ({child.exitcode})')
        own = (line.strip() for line in told.splitlines() if 'tvtsv2_mm' in line)
        place = next(own, told[-300:])
        if not entries and 'armed' not in told:
            raise RuntimeError(f'{target.name}: a seed cannot be read\n{told}')
        _count(outcome, done, f'{what}: {place}', 'lost')
        at = done + 1
    return outcome


def _count(outcome: Outcome, number: int, found: str | None, kind: str) -> None:
    outcome.injected += 1
    if found is None:
        setattr(outcome, kind, getattr(outcome, kind) + 1)
    else:
        outcome.counts[found] += 1
        outcome.findings.setdefault(found, [])
        outcome.findings[found] = [*outcome.findings[found], number][:5]


def _run(target: Target, seeds: list[Seed], work: Path, log: Path, first: int, stop: int) -> None:
    """The child."""
    warnings.simplefilter('ignore')
    os.environ['HF_HUB_OFFLINE'] = '1'
    trace = log.with_suffix('.trace').open('w')
    told = log.open('w', encoding='utf-8', buffering=1)
    faulthandler.enable(trace)
    faulthandler.register(signal.SIGXCPU, trace, chain=True)
    guard = Guard(work.parent)
    for seed in seeds:
        _write(work, {**seed.beside, **seed.files})
        try:
            target.read(work)
        except Exception as error:
            if not seed.refused or not isinstance(error, target.errors):
                traceback.print_exc(file=trace)
                trace.flush()
                os._exit(3)
    trace.write('armed\n')
    trace.flush()
    guard.folder = os.path.realpath(work)
    gc.collect()
    gc.freeze()  # what is made for each case, mmengine collects anew with all modules
    guard.arm()
    for number in range(first, stop):
        seed, changes = case_of(target, seeds, number)
        guard.armed = False
        _write(work, {**seed.beside, **seed.files, **changes})
        guard.armed = True
        faulthandler.dump_traceback_later(_LONGEST_S, exit=True, file=trace)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (
            int(time.process_time()) + target.deadline, hard))
        kind, found = 'read', None
        try:
            target.read(work)
        except Exception as error:
            kind, found = 'refused', _fault_of(error, target, seed)
            if 'decoding it crashed' in str(error) or 'within the deadline' in str(error):
                kind = 'contained'
        except BaseException as error:
            found = f'{type(error).__name__}: {_place_of(error)}'
        faulthandler.cancel_dump_traceback_later()
        seen = guard.take()
        found = '; '.join([*([found] if found else ()), *seen]) or None
        guard.armed = False
        told.write(json.dumps(dict(case=number, kind=kind, found=found)) + '\n')
        if any(line.startswith('memory') for line in seen):
            os._exit(_AGAIN)  # the next cases start with less
    os._exit(0)


def _write(folder: Path, files: Mapping[str, bytes | None]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / 'out').mkdir(parents=True)
    for name, content in files.items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _fault_of(error: Exception, target: Target, seed: Seed) -> str | None:
    """What is wrong with an error, if anything."""
    message = str(error)
    if type(error) not in target.errors:
        return f'{type(error).__name__} at {_place_of(error)}: {message[:80]}'
    if target.names and not any(Path(name).name in message for name in seed.files):
        return f'the file is not named: {_place_of(error)}: {message[:80]}'
    if len(message) > _LONGEST_MESSAGE:
        return f'a message of more than {_LONGEST_MESSAGE} characters: {_place_of(error)}'
    return None


def _place_of(error: BaseException) -> str:
    """The innermost line of the package, and the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if '/tvtsv2_mm/' in frame.filename]
    lines = [f'{frame.filename.rpartition("/tvtsv2_mm/")[2]}:{frame.lineno}' for frame in own[-1:]]
    if frames and frames[-1] not in own:
        lines.append(f'{"/".join(frames[-1].filename.split("/")[-2:])}:{frames[-1].lineno}')
    return ' > '.join(lines)
