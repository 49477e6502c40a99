"""What several tests need."""

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _run_rank(rank: int, world_size: int, port: int, function: Callable, args: tuple) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
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
    mp.spawn(_run_rank, (world_size, port, function, args), nprocs=world_size)
