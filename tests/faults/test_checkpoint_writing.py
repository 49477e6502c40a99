"""A run is killed at every stage of writing a checkpoint, and goes on as if it had not been."""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from torch import distributed

from tests.faults.record import cases, record
from tests.helpers import WARM, free_port
from tvtsv2_mm.apis.launch.runs import apply_resume, build_runner
from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.checkpoints.sharded import read_run_state
from tvtsv2_mm.checkpoints.whole import check_whole
from tvtsv2_mm.utils import files

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[1]
CONFIGS = {1: ROOT / 'test_tools' / 'toy_config.py',
           2: ROOT / 'test_engine' / 'test_strategies' / 'random_config.py'}
# Three checkpoints of each, of which one is kept.
OPTIONS = {
    1: dict(train_cfg=dict(max_epochs=3),
            default_hooks=dict(checkpoint=dict(
                max_keep_ckpts=1, save_best='count', rule='greater')),
            custom_hooks=[dict(type='EMAHook'), dict(type='ResumeDataHook')]),
    2: dict(train_cfg=dict(max_epochs=2), val_cfg=None, val_dataloader=None, val_evaluator=None,
            launcher='pytorch',
            custom_hooks=[dict(type='EMAHook'), dict(type='ResumeDataHook')],
            default_hooks=dict(checkpoint=dict(interval=3, max_keep_ckpts=1)))}
_EVENTS = ('write', 'fsync', 'replace', 'unlink', 'rmdir', 'remove')


class _Events:
    """Counts what a process does to the disk while it trains, and kills it before one of these.

    A write is killed in the middle.
    """

    def __init__(self, kill_at: int) -> None:
        self.kill_at = kill_at
        self.seen: list[str] = []
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
        self.seen.append(name)
        return len(self.seen) == self.kill_at

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _train(rank: int, ranks: int, port: int, folder: Path, kill_at: int) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks),
                      MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    os.chdir(ROOT.parent)
    torch.set_num_threads(1)
    time.sleep = lambda _: None  # of mmengine, between epochs
    sys.stdout = sys.stderr = (folder / f'told_{rank}.txt').open('a')
    if ranks > 1:
        distributed.init_process_group('gloo', rank=rank, world_size=ranks)
    cfg = Config.fromfile(CONFIGS[ranks])
    cfg.merge_from_dict(dict(OPTIONS[ranks], work_dir=str(folder / 'run')))
    apply_resume(cfg, 'auto')
    events = _Events(kill_at)
    build_runner(cfg).train()
    losses = MessageHub.get_current_instance().get_scalar('train/loss').data[0]
    torch.save(losses.tolist(), folder / f'losses_{rank}.pth')
    (folder / f'events_{rank}.txt').write_text('\n'.join(events.seen))
    os._exit(0)  # the group's destructor can wait for ever in torch 2.7


def train(folder: Path, ranks: int, killed: int = 0, kill_at: int = 0) -> int:
    """Train in processes, of which one may be killed; the others are ended, as a launcher does."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    processes = [WARM.Process(target=_train, args=(
        rank, ranks, port, folder, kill_at if rank == killed else 0)) for rank in range(ranks)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        if any(process.exitcode for process in processes):
            for process in processes:
                process.kill()
        time.sleep(0.05)
    codes = [process.exitcode for process in processes]
    if any('adds the gradients' in told.read_text() for told in folder.glob('told_*.txt')):
        pytest.skip('FullyShardStrategy refuses gloo of this torch')
    return codes[killed]


@pytest.fixture(scope='module', params=[1, 2], ids=['one_rank', 'shards_on_two_ranks'])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An uninterrupted run, and what it does to the disk."""
    folder = tmp_path_factory.mktemp('whole')
    assert train(folder, request.param) == 0, (folder / 'told_0.txt').read_text()
    return request.param, folder


def state(folder: Path) -> tuple[dict, list]:
    """What a run has left: weights, averages, optimiser, losses."""
    [path] = (path for path in (folder / 'run').glob('*_[0-9]*.pth')
              if not path.name.startswith('best'))
    if path.is_dir():
        content: dict = dict(read_state_dict(path))
        content |= dict(read_state_dict(path, weights='ema'), **read_run_state(path)['meta'])
    else:
        content = torch.load(path, weights_only=False)
    return content, torch.load(folder / 'losses_0.pth')


def tensors(value: Any, name: str = '') -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        yield from chain.from_iterable(tensors(x, f'{name}.{key}') for key, x in value.items())


def whole_names(run: Path) -> set[str]:
    """The checkpoints that are there, each of which is whole."""
    paths = [path for path in run.glob('*.pth') if not path.name.startswith('.')]
    for path in paths:
        check_whole(path)
    return {path.name for path in paths}


def kill_places(whole: tuple[int, Path], few: int) -> list[tuple[int, int]]:
    """Ranks, and numbers of events, drawn from all kinds in turn."""
    ranks, folder = whole
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
    ranks, folder = whole
    expected, losses = state(folder)
    expected = dict(tensors(expected))
    assert len(expected) > 4
    counts = dict(injected=0, survived=0, lost=0)
    failures = []
    for number, (rank, kill_at) in enumerate(kill_places(whole, cases(6 if ranks == 1 else 3))):
        cut = tmp_path / str(number)
        cut.mkdir()
        counts['injected'] += 1
        try:
            assert train(cut, ranks, rank, kill_at) == -signal.SIGKILL
            run = cut / 'run'
            last = run / 'last_checkpoint'
            names = whole_names(run)
            # What it names is never removed before the next one is named.
            assert not last.is_file() or Path(last.read_text()).name in names
            assert train(cut, ranks) == 0, (cut / 'told_0.txt').read_text()[-2000:]
            found, seen = state(cut)
            found = dict(tensors(found))
            assert {*found} == {*expected}
            assert all(torch.equal(found[name], value) for name, value in expected.items())
            assert seen == losses
            assert not [path for path in run.iterdir() if path.name.endswith(('.part', '.before'))]
            counts['survived'] += 1
        except AssertionError as error:
            failures.append(f'rank {rank}, event {kill_at}: {error}')
            counts['lost'] += 1
        shutil.rmtree(cut)
    assert not failures, '\n'.join(failures)
    record('checkpoints', f'SIGKILL while a checkpoint is written, {ranks} rank'
           + ('s, in shards' if ranks > 1 else ''), **counts)
