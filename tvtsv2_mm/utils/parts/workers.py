"""Parts of a large job go to workers as these become free: processes here, or actors on Ray."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import Any, Protocol


class PartWorker(Protocol):
    """Does parts; all that it is made with can be pickled.

    A part may be given to it again after it was done, where a worker died just then: it is then
    left as it is.
    """

    def run(self, part: Any, /) -> Any:
        """Do a part; returns how many items went by, or what became of it."""


_worker: PartWorker | None = None


def run_in_processes(worker_type: type[PartWorker], arguments: tuple, parts: Sequence[Any],
                     num_processes: int = 1) -> Iterator[int]:
    """Do the parts in processes of this machine, or with 1 in this one; yields what ``run`` does.

    Raises:
        RuntimeError: A process was killed.
    """
    if num_processes <= 1 or len(parts) <= 1:
        worker = worker_type(*arguments)
        yield from map(worker.run, parts)
        return
    # Not forked: no decoder of this process goes along.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(min(num_processes, len(parts)), mp_context=context,
                             initializer=start_worker, initargs=(worker_type, arguments)) as pool:
        futures = [pool.submit(run_part, part) for part in parts]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise RuntimeError('a process was killed (out of memory?): the same command goes on '
                               'from the finished parts') from error
        finally:
            for future in futures:
                future.cancel()


def start_worker(worker_type: type[PartWorker], arguments: tuple) -> None:
    """Make the worker of a process of a pool: its ``initializer``."""
    global _worker
    Thread(target=_end_with_parent, daemon=True).start()
    _worker = worker_type(*arguments)


def _end_with_parent() -> None:
    """A process whose parent is killed would wait for parts for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_part(part: Any) -> Any:
    """Give a part to the worker of this process."""
    assert _worker is not None
    return _worker.run(part)


def run_on_ray(worker_type: type[PartWorker], arguments: tuple, parts: Sequence[Any], *,
               address: str = 'local', num_replicas: int = 1,
               gpus_per_replica: float = 0) -> Iterator[int]:
    """Do the parts on Ray; yields what ``run`` returns.

    A worker that dies is started again and its part with it, three times.

    Args:
        worker_type: Class of the workers.
        arguments: What each is made with.
        parts: The parts; where there is none, Ray is not started.
        address: 'local' starts Ray on this machine; else of a cluster, such as
            'ray://head:10001' or 'auto'.
        num_replicas: Number of workers.
        gpus_per_replica: GPUs of each.
    """
    ray = import_ray()
    if not parts:
        return
    ray.init(address=address, log_to_driver=False, include_dashboard=False
             ) if address == 'local' else ray.init(address=address)
    try:
        remote = ray.remote(max_restarts=3, max_task_retries=3,
                            num_gpus=gpus_per_replica)(worker_type)
        workers = [remote.remote(*arguments) for _ in range(min(num_replicas, len(parts)))]
        pool = ray.util.ActorPool(workers)
        yield from pool.map_unordered(lambda worker, part: worker.run.remote(part), list(parts))
    finally:
        ray.shutdown()


def import_ray() -> Any:
    """Import Ray.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ValueError('working on Ray needs ray: pip install ray') from None
    return ray
