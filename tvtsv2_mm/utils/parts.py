"""Work over a corpus in parts that outlives a kill: in this process, in several, or on Ray.

The results are a folder that grows by whole parts::

    meta.json               what the results were made with
    parts/00000000.json     what a part holds; it is there when the part is finished

What else belongs to a part is written before its .json. What is made of all parts together is
written last, and can be made again from them.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from rich.progress import track

from tvtsv2_mm.utils.errors import shortened
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.files import (
    check_fields,
    read_json,
    remove_drafts,
    to_json,
    write_atomically,
)
from tvtsv2_mm.utils.locks import locked
from tvtsv2_mm.utils.processes import end_with_parent

FAILURE = dict(video=str, reason=str)  # of an item that could not be used, see check_fields


@dataclass(frozen=True)
class Part:
    """Items of the corpus that are written as one: names of videos, or places of records."""

    number: int
    items: list


def cut_into_parts(items: Sequence, size: int, first: int = 0) -> list[Part]:
    """Parts of ``size`` items each, the last one maybe smaller; their numbers count from first."""
    return [Part(first + number, list(items[start:start + size]))
            for number, start in enumerate(range(0, len(items), size))]


class PartStore:
    """The folder, for writing.

    Args:
        folder: made where it is missing.
        fields: of the record of a part, see :func:`~tvtsv2_mm.utils.files.check_fields`.
    """

    def __init__(self, folder: str | os.PathLike, fields: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.fields = fields

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep a second run out of the folder; a kill frees it.

        Raises:
            UserFileError: another one is at work here.
        """
        with locked(self.folder):
            (self.folder / 'parts').mkdir(exist_ok=True)
            yield

    def begin(self, meta: Mapping[str, Any]) -> None:
        """Write what the results are made with, or compare it with that of the parts there.

        To be called with the folder locked.

        Raises:
            ValueError: the folder holds results that were made with something else.
        """
        for draft in (self.folder / 'parts').glob('.*'):
            draft.unlink()  # of a run that was killed while it wrote
        remove_drafts(self.folder)
        path = self.folder / 'meta.json'
        if path.is_file() and any((self.folder / 'parts').glob('*.json')):
            there, meta = read_json(path), json.loads(to_json(meta))
            different = [f'{key}: {there.get(key)!r:.200} there, {meta.get(key)!r:.200} now'
                         for key in sorted({*there, *meta}) if there.get(key) != meta.get(key)]
            if different:
                raise ValueError(shortened(
                    f'{self.folder} holds results made with something else, choose another '
                    'folder:\n  ' + '\n  '.join(different)))
        write_atomically(path, to_json(meta))

    def parts(self) -> Iterator[dict[str, Any]]:
        """The records of the finished parts in order, with their ``number``.

        Raises:
            ValueError: one is damaged.
        """
        for path in sorted((self.folder / 'parts').glob('[0-9]' * 8 + '.json')):
            record = read_json(path)
            check_fields(record, self.fields, self.damaged(int(path.stem)))
            yield dict(record, number=int(path.stem))

    def damaged(self, number: int) -> str:
        """What is said of a part's record that cannot be read; what it is follows."""
        return (f'{self.folder}/parts/{number:08d}.json is damaged (delete it, and the part is '
                'made again)')

    def has_part(self, number: int) -> bool:
        """Whether a part is finished."""
        return (self.folder / f'parts/{number:08d}.json').is_file()

    def wait_for(self, numbers: Iterable[int], seconds: float = 60.0) -> None:
        """Wait until finished parts are seen, which a network disk may show late.

        Raises:
            RuntimeError: some are not.
        """
        end = time.monotonic() + seconds
        missing = [number for number in numbers if not self.has_part(number)]
        while missing and time.monotonic() < end:
            time.sleep(0.2)
            missing = [number for number in missing if not self.has_part(number)]
        if missing:
            raise RuntimeError(
                f'{len(missing)} parts that were made cannot be seen in {self.folder}/parts, the '
                f'first is {missing[0]:08d}: is the folder on a disk that all workers see? The '
                'same command goes on')

    def write_record(self, number: int, record: Mapping[str, Any]) -> None:
        """Write what a part holds, and so that it is finished."""
        write_atomically(self.folder / f'parts/{number:08d}.json', to_json(record))


class PartWorker(Protocol):
    """Does parts; all that it is made with can be pickled."""

    def run(self, part: Part) -> int:
        """Do a part, if it did not die right after it; returns how many items went by."""


def follow(counts: Iterable[int], parts: Sequence[Part], description: str, show: bool) -> None:
    """Go through the counts of items that went by, with a bar that counts items."""
    for _ in track(chain.from_iterable(map(range, counts)), description, disable=not show,
                   total=sum(len(part.items) for part in parts)):
        pass


def run_in_processes(worker_type: type[PartWorker], arguments: tuple, parts: Sequence[Part],
                     num_processes: int = 1) -> Iterator[int]:
    """Do the parts in processes of this machine, or with 1 in this one; yields what ``run`` does.

    Raises:
        RuntimeError: a process was killed.
    """
    if num_processes <= 1 or len(parts) <= 1:
        yield from map(worker_type(*arguments).run, parts)
        return
    # Not forked: no decoder of this process goes along.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(min(num_processes, len(parts)), mp_context=context,
                             initializer=start_worker, initargs=(worker_type, arguments)) as pool:
        futures = [pool.submit(run_item, part) for part in parts]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise RuntimeError('a process was killed (out of memory?): the same command goes on '
                               'from the finished parts') from error
        finally:
            pool.shutdown(cancel_futures=True)


_worker: Any


def start_worker(worker_type: type, arguments: tuple) -> None:
    """Make the worker of this process, one of a pool: its ``initializer``."""
    global _worker
    end_with_parent()
    _worker = worker_type(*arguments)


def run_item(item: Any) -> Any:
    """Give a part, or what else it runs, to the worker of this process."""
    return _worker.run(item)


def run_on_ray(worker_type: type[PartWorker], arguments: tuple, parts: Sequence[Part], *,
               address: str = 'local', num_replicas: int = 1,
               gpus_per_replica: float = 0) -> Iterator[int]:
    """Do the parts on Ray; yields what ``run`` returns. Where there is none, Ray is not started.

    A worker that dies is started again and its part with it, three times.

    Args:
        worker_type: class of the workers.
        arguments: what each is made with.
        parts: the parts.
        address: 'local' starts Ray on this machine; else of a cluster, such as
            'ray://head:10001' or 'auto'.
        num_replicas: number of workers.
        gpus_per_replica: GPUs of each.
    """
    ray = import_ray()
    if not parts:
        return
    quiet = dict(log_to_driver=False, include_dashboard=False) if address == 'local' else {}
    ray.init(address=address, **quiet)
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
        MissingPackageError: it is not installed.
    """
    with needed_for('working on Ray'):
        import ray
    return ray
