"""A run is killed at every stage of writing a checkpoint, and goes on as if it had not been."""

import os
import random
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.record import cases, record
from tests.faults.trainings import Training, assert_same, wait
from tvtsv2_mm.utils import files

pytestmark = pytest.mark.faults

# Three checkpoints of each, of which one is kept.
TRAININGS = {
    'one_rank': Training('tests/test_tools/toy_config.py', options=dict(
        train_cfg=dict(max_epochs=3),
        default_hooks=dict(checkpoint=dict(
            max_keep_ckpts=1, save_best='count', rule='greater')),
        custom_hooks=[dict(type='EMAHook'), dict(type='ResumeDataHook')])),
    'shards_on_two_ranks': Training(
        'tests/test_engine/test_strategies/random_config.py', ranks=2, options=dict(
            train_cfg=dict(max_epochs=2),
            val_cfg=None, val_dataloader=None, val_evaluator=None,
            custom_hooks=[dict(type='EMAHook'), dict(type='ResumeDataHook')],
            default_hooks=dict(checkpoint=dict(interval=3, max_keep_ckpts=1))))}
_EVENTS = ('write', 'fsync', 'replace', 'unlink', 'rmdir', 'remove')


class _Events:
    """Notes what a process does to the disk while it trains, and kills it before one of these.

    A write is killed in the middle.
    """

    def __init__(self, kill_at: int, notes: Path) -> None:
        self.kill_at = kill_at
        self.count = 0
        self.notes = notes.open('w')
        write = files._Quiet.write

        def write_half(quiet: Any, data: Any) -> int:
            if self.comes('write'):
                write(quiet, memoryview(data).cast('B')[:memoryview(data).nbytes // 2])
                quiet._file.flush()
                self.die()
            return write(quiet, data)

        files._Quiet.write = write_half
        for name in _EVENTS[1:]:
            setattr(os, name, self.before(name, getattr(os, name)))

    def before(self, name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.comes(name):
                self.die()
            return function(*args, **kwargs)
        return call

    def comes(self, name: str) -> bool:
        self.count += 1
        print(name, file=self.notes, flush=True)
        return self.count == self.kill_at

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(kill_at: int, folder: Path, rank: int) -> None:
    _Events(kill_at, folder / f'events_{rank}.txt')


@pytest.fixture(scope='module', params=TRAININGS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An uninterrupted run, and what it does to the disk."""
    training, folder = TRAININGS[request.param], tmp_path_factory.mktemp('whole')
    watch = dict.fromkeys(range(training.ranks), partial(_watch, 0))
    assert not any(wait(training.start(folder, watch))), training.told(folder)
    return training, folder


def kill_places(ranks: int, folder: Path, few: int) -> list[tuple[int, int]]:
    """Ranks, and numbers of events, drawn from all kinds in turn."""
    places: dict[tuple[str, int], list[int]] = {}
    for rank in range(ranks):
        names = (folder / f'events_{rank}.txt').read_text().split()
        for number, name in enumerate(names, 1):
            places.setdefault((name, rank), []).append(number)
    draw, order = random.Random(3), sorted(places)
    for kind in order:
        draw.shuffle(places[kind])
    draw.shuffle(order)
    taken: list[tuple[int, int]] = []
    while any(places.values()) and len(taken) < few:  # in turn
        taken += [(rank, places[kind, rank].pop()) for kind, rank in order if places[kind, rank]]
    return taken[:few]


def test_killed_at_every_stage(whole, tmp_path):
    training, folder = whole
    expected = training.result(folder)
    assert len(expected) > 5  # the losses, and more than four tensors
    counts = dict(injected=0, survived=0, lost=0)
    failures = []
    places = kill_places(training.ranks, folder, cases(6 if training.ranks == 1 else 1, 40))
    for number, (rank, kill_at) in enumerate(places):
        cut = tmp_path / str(number)
        counts['injected'] += 1
        try:
            killed = training.start(cut, {rank: partial(_watch, kill_at)})
            assert wait(killed)[rank] == -signal.SIGKILL
            training.check_folder(cut, is_ended=False)
            assert not any(wait(training.start(cut))), training.told(cut)[-2000:]
            assert_same(training.result(cut), expected)
            training.check_folder(cut, is_ended=True)
            counts['survived'] += 1
        except AssertionError as error:
            failures.append(f'rank {rank}, event {kill_at}: {error}')
            counts['lost'] += 1
        shutil.rmtree(cut)
    assert not failures, '\n'.join(failures)
    record('checkpoints', f'SIGKILL while a checkpoint is written, {training.ranks} rank'
           + ('s, in shards' if training.ranks > 1 else ''), **counts)
