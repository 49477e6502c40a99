"""What several tests need."""

import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

_WARM = mp.get_context('forkserver')
_WARM.set_forkserver_preload(['tvtsv2_mm', 'mmengine.runner', 'tvtsv2_mm.models',
                              'tvtsv2_mm.engine', 'tvtsv2_mm.evaluation', 'tests.fuzz.targets'])


def warm_process(target: Callable, args: tuple = ()) -> mp.Process:
    """A process, from one that has imported the package already: 6 s each else."""
    _start_server()
    return _WARM.Process(target=target, args=args)


def _start_server() -> None:
    """Start that one, if need be, from here: it imports from its folder.

    In the folder of a test it would find the ``tests`` that model-index installs.
    """
    before = os.getcwd()
    os.chdir(Path(__file__).parents[1])
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(before)


def _run_rank(rank: int, world_size: int, port: int, environment: dict[str, str],
              function: Callable, args: tuple) -> None:
    os.environ.clear()  # it is that of the first call
    os.environ.update(environment, MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=world_size)
    # The group ends with the process: its destructor can wait for ever in torch 2.7, whose gloo
    # threads want Python's lock to let go of a tensor.
    function(rank, world_size, *args)


def free_port() -> int:
    """A port that nobody takes by chance until it is used: the kernel gives out higher ones.

    Tests of other processes begin their search at another one.
    """
    for port in range(10000 + 20 * (os.getpid() % 1000), 30020):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(('127.0.0.1', port))
            return port
    raise OSError('no port is free')


def run_ranks(world_size: int, function: Callable, *args: Any) -> None:
    """Call ``function(rank, world_size, *args)`` in processes that form a gloo group.

    The function must be at the top level of a module; what fails in a rank fails here. A training
    in shards that FullyShardStrategy refuses, as with torch 2.7, skips the test.
    """
    _start_server()
    try:
        mp.start_processes(_run_rank, (world_size, free_port(), dict(os.environ), function, args),
                           nprocs=world_size, start_method='forkserver')
    except mp.ProcessRaisedException as error:
        if 'adds the gradients of the ranks up' in str(error):
            pytest.skip('FullyShardStrategy refuses gloo of this torch')
        raise


class TrainingRanks:
    """Processes that run ``tools/train.py``, as a launcher that ends nobody would start them.

    Args:
        config: of the training.
        folder: the work folder; beside it is what each rank says.
        world_size: number of ranks; one is started without a launcher.
        options: for ``--cfg-options``.
        words: further arguments.
    """

    def __init__(self, config: Path, folder: Path, *options: str, world_size: int = 2,
                 words: Sequence[str] = ()) -> None:
        launcher = 'pytorch' if world_size > 1 else 'none'
        arguments = [str(config), '--work-dir', str(folder), '--launcher', launcher, *words,
                     *(['--cfg-options', *options] if options else [])]
        port = free_port()
        self._texts = [folder.parent / f'{folder.name}_{rank}.txt' for rank in range(world_size)]
        self.processes = [
            warm_process(_train_as_rank, args=(rank, world_size, port, arguments, text))
            for rank, text in enumerate(self._texts)]
        for process in self.processes:
            process.start()

    def wait(self, seconds: float = 120) -> list[int | None]:
        """Exit codes; None for a rank that has not ended by then, which is killed."""
        end = time.monotonic() + seconds
        codes = []
        for process in self.processes:
            process.join(max(0, end - time.monotonic()))
            codes.append(process.exitcode)
        self.kill()
        return codes

    def kill(self) -> None:
        """End what is still there."""
        for process in self.processes:
            process.kill()
            process.join()

    def said(self, rank: int | None = None) -> str:
        """What a rank, or all, have written to the console."""
        texts = self._texts if rank is None else [self._texts[rank]]
        return ''.join(text.read_text() for text in texts if text.is_file())


def _train_as_rank(rank: int, world_size: int, port: int, arguments: list[str],
                   output: Path) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if world_size > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size),
                          MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='')
    torch.set_num_threads(1)
    sys.argv = ['train.py', *arguments]
    runpy.run_path(str(Path(__file__).parents[1] / 'tools/train.py'), run_name='__main__')


def _die_at_write(imports: str, call: str, arguments: list[str], write: int) -> None:
    os.chdir(Path(__file__).parents[1])
    sys.argv = ['-c', *arguments]
    names: dict[str, Any] = {'sys': sys}
    exec(imports, names)
    replace, calls = os.replace, []

    def replace_or_die(draft: str, path: str) -> None:
        calls.append(path)
        if len(calls) == write:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(draft, path)

    os.replace = replace_or_die
    exec(call, names)


def run_killed_at_write(imports: str, call: str, *arguments: Any, write: int) -> None:
    """Run a program in a process that is killed when it puts its ``write``-th file in place.

    Args:
        imports: Its imports, which may put files in place themselves.
        call: The statement to run; ``sys.argv[1:]`` are the arguments.
        arguments: Of the program.
        write: Counted from 1.
    """
    process = warm_process(_die_at_write, (imports, call, [*map(str, arguments)], write))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def assert_close(found: torch.Tensor, expected: torch.Tensor, name: str = '') -> None:
    """To 1e-5 of the largest entry, or of 1: float32 rounds to 2e-6 of it, seen against float64.

    A bound of its own for every entry fails where small ones are sums of large ones.
    """
    bound = 1e-5 * max(1, expected.abs().max().item())
    torch.testing.assert_close(found, expected, atol=bound, rtol=0,
                               msg=lambda text: f'{name}: {text}')


def assert_same_gradients(out: torch.Tensor, expected: torch.Tensor,
                          inputs: Sequence[torch.Tensor]) -> None:
    """Compare two outputs, and the gradients of one random weighted sum of each."""
    torch.testing.assert_close(out, expected)
    weights = torch.randn_like(out)
    for own, other in zip(torch.autograd.grad(out, inputs, weights),
                          torch.autograd.grad(expected, inputs, weights), strict=True):
        torch.testing.assert_close(own, other)
