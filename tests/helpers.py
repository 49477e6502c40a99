"""What several tests need."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


# The ranks come from a process that has imported this already: 6 s each else.
_RANKS = mp.get_context('forkserver')
_RANKS.set_forkserver_preload(['tvtsv2_mm', 'mmengine.runner', 'tvtsv2_mm.models',
                               'tvtsv2_mm.engine', 'tvtsv2_mm.evaluation'])


def _run_rank(rank: int, world_size: int, port: int, environment: dict[str, str],
              function: Callable, args: tuple) -> None:
    os.environ.clear()  # it is that of the first call
    os.environ.update(environment, MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=world_size)
    try:
        function(rank, world_size, *args)
    finally:
        dist.destroy_process_group()


def run_ranks(world_size: int, function: Callable, *args: Any) -> None:
    """Call ``function(rank, world_size, *args)`` in processes that form a gloo group.

    The function must be at the top level of a module; what fails in a rank fails here.
    """
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    mp.start_processes(_run_rank, (world_size, port, dict(os.environ), function, args),
                       nprocs=world_size, start_method='forkserver')


_DIES = """
import os, signal, sys

replace, calls = os.replace, []

def replace_or_die(draft, path):
    calls.append(path)
    if len(calls) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(draft, path)

os.replace = replace_or_die
"""


def run_killed_at_write(imports: str, call: str, *arguments: Any, write: int) -> None:
    """Run a program that is killed when it puts its ``write``-th file in place.

    Args:
        imports: Its imports, which may put files in place themselves.
        call: The statement to run; ``sys.argv[2:]`` are the arguments.
        arguments: Of the program.
        write: Counted from 1.
    """
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, '-c', f'{imports}\n{_DIES}\n{call}', str(write), *map(str, arguments)],
        cwd=root, env=dict(os.environ, PYTHONPATH=str(root)), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def assert_same_gradients(out: torch.Tensor, expected: torch.Tensor,
                          inputs: Sequence[torch.Tensor]) -> None:
    """Compare two outputs, and the gradients of one random weighted sum of each."""
    torch.testing.assert_close(out, expected)
    weights = torch.randn_like(out)
    for own, other in zip(torch.autograd.grad(out, inputs, weights),
                          torch.autograd.grad(expected, inputs, weights), strict=True):
        torch.testing.assert_close(own, other)
