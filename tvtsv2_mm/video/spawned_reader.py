"""Decoding in a process that is started anew, for a process whose threads a fork would not bear."""

import contextlib
import multiprocessing
import os
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Pipe
from queue import SimpleQueue
from typing import Any

from tvtsv2_mm.video.isolated_reader import DecodingProcess, IsolatedReader, _serve

_PATIENCE_S = 1.0  # for a process that was killed to be gone


class SpawnedDecodingProcess(DecodingProcess):
    """A :class:`DecodingProcess` whose child is no copy of this process.

    It starts in about a second instead of at once, and its frames come through the pipe.
    """

    _process: Any = None

    def _fork(self) -> None:
        self._connection, theirs = Pipe()
        parent = os.getpid()
        process: Any = multiprocessing.get_context('spawn').Process(
            target=_serve, args=(theirs, b'', parent), daemon=True)
        process.start()
        theirs.close()
        self._process, self._parent, self._child = process, parent, process.pid

    def kill(self) -> int | None:
        """See :meth:`DecodingProcess.kill`."""
        if self._parent != os.getpid():
            return None
        self._process.kill()
        self._connection.close()
        self._parent = None
        self._process.join(_PATIENCE_S)
        code = self._process.exitcode
        return None if code is None else -code if code < 0 else code << 8

    def __reduce__(self) -> tuple:
        return SpawnedDecodingProcess, ()


class DecodingPool:
    """Several processes; each decodes one video at a time, for the threads of this one.

    Args:
        size: how many processes.
    """

    def __init__(self, size: int) -> None:
        self._processes = [SpawnedDecodingProcess() for _ in range(size)]
        self._free: SimpleQueue[SpawnedDecodingProcess] = SimpleQueue()
        for process in self._processes:
            self._free.put(process)

    @contextmanager
    def opened(self, path: str, *, deadline: float | None,
               **options: Any) -> Generator[IsolatedReader]:
        """Open a video in a process that is free, waiting for one; raises as ``open_video``."""
        process = self._free.get()
        try:
            reader = process.open(path, deadline=deadline, **options)
            try:
                yield reader
            finally:
                with contextlib.suppress(Exception):  # its process has ended
                    reader.close()
        finally:
            self._free.put(process)

    def start(self) -> None:
        """Start a process before the first video needs it."""
        process = self._free.get()
        try:
            process.call('', None, 'close', None)
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End all processes, whatever they do."""
        for process in self._processes:
            process.kill()
