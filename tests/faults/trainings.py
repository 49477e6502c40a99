"""Trainings in processes that may be killed, and what they leave."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from torch import distributed
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from tests.helpers import free_port, warm_process
from tvtsv2_mm.apis.launch.runs import apply_resume, build_runner
from tvtsv2_mm.checkpoints.untrusted import load_torch_file
from tvtsv2_mm.checkpoints.whole import check_whole

ROOT = Path(__file__).parents[2]
Watch = Callable[[Path, int], Any]


@dataclass(frozen=True)
class Training:
    """The same command whenever it is started: it goes on from what it finds in its folder.

    Args:
        config: below the project's folder.
        ranks: number of processes.
        options: merged into the config.
    """

    config: str
    ranks: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def start(self, folder: Path, watch: dict[int, Watch] | None = None) -> list[Any]:
        """Start the ranks; ``watch`` is called in the ranks it names, before they train."""
        folder.mkdir(exist_ok=True)
        port = free_port()
        processes = [warm_process(_train, args=(
            self, rank, port, folder, (watch or {}).get(rank))) for rank in range(self.ranks)]
        for process in processes:
            process.start()
        return processes

    def told(self, folder: Path) -> str:
        """What the ranks said."""
        texts = ''.join(told.read_text() for told in sorted(folder.glob('told_*.txt')))
        if 'adds the gradients' in texts:
            pytest.skip('FullyShardStrategy refuses gloo of this torch')
        return texts

    def result(self, folder: Path) -> dict[str, Any]:
        """Weights, averages and optimiser of the last checkpoint, and the loss of every step."""
        path = Path((folder / 'run' / 'last_checkpoint').read_text())
        whole = path
        if path.is_dir():
            whole = folder / 'whole.pth'
            dcp_to_torch_save(path, whole)
        found = content_of(whole)
        assert any('exp_avg' in name for name in found)
        return found | dict(losses=torch.load(folder / 'losses_0.pth'))

    def check_folder(self, folder: Path, is_ended: bool) -> None:
        """Whatever happened: every checkpoint is whole, what is named is there, no drafts stay."""
        run = folder / 'run'
        paths = [path for path in run.glob('*.pth') if not path.name.startswith('.')]
        for path in paths:
            check_whole(path)
        last = run / 'last_checkpoint'
        # What it names is never removed before the next one is named.
        assert not last.is_file() or Path(last.read_text()) in paths
        assert not is_ended or not [
            path for path in run.iterdir() if path.name.endswith(('.part', '.before'))]


def _train(training: Training, rank: int, port: int, folder: Path, watch: Watch | None) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(training.ranks),
                      MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='')
    os.chdir(ROOT)
    torch.set_num_threads(1)
    time.sleep = lambda _: None  # of mmengine, between epochs
    sys.stdout = sys.stderr = (folder / f'told_{rank}.txt').open('a')
    if training.ranks > 1:
        distributed.init_process_group('gloo', rank=rank, world_size=training.ranks)
    cfg = Config.fromfile(training.config)
    cfg.merge_from_dict(dict(training.options, work_dir=str(folder / 'run')))
    if training.ranks > 1:
        cfg.launcher = 'pytorch'
    apply_resume(cfg, 'auto')
    if watch is not None:
        watch(folder, rank)
    build_runner(cfg).train()
    losses = MessageHub.get_current_instance().get_scalar('train/loss').data[0]
    torch.save(torch.tensor(losses.tolist()), folder / f'losses_{rank}.pth')
    sys.stdout.flush()
    os._exit(0)  # the group's destructor can wait for ever in torch 2.7


def wait(processes: list[Any], seconds: float | None = None, killed: int = 0) -> list[int | None]:
    """Exit codes; once one fails, the others are ended, as a launcher does.

    Args:
        processes: of one job.
        seconds: after so many one of them is killed.
        killed: which.
    """
    end = time.monotonic() + (seconds or 0)
    while any(process.is_alive() for process in processes):
        if seconds is not None and time.monotonic() >= end:
            processes[killed].kill()
            processes[killed].join()
        if any(process.exitcode for process in processes):
            for process in processes:
                process.kill()
        time.sleep(0.02)
    return [process.exitcode for process in processes]


def tensors(value: Any, name: str = '') -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors of nested dictionaries, each with its path."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        yield from chain.from_iterable(tensors(x, f'{name}.{key}') for key, x in value.items())


def content_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint of one file."""
    return dict(tensors(load_torch_file(checkpoint)))


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare two results, to the bit."""
    assert {*found} == {*expected}
    other = [name for name, value in expected.items()
             if not (torch.equal(found[name], value) if isinstance(value, torch.Tensor)
                     else found[name] == value)]
    assert not other, other
