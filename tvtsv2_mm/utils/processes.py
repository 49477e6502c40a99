"""Processes: how they start and end, their signals, forks and memory."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Event, Thread, get_native_id

# What stops a job: kill, torchrun and Slurm send the first, Slurm's --signal=USR1@120 the second.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# Exit code of what was told to stop and can go on. HTCondor's for "saved, start me again".
PREEMPTED = 85
# Environment variable: the process whose end is that of the ranks.
LAUNCHER = 'TVTSV2_MM_LAUNCHER_PROCESS'

_PR_SET_PDEATHSIG = 1
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1
# A thread may be at work for ever; then a fork is as it would be without waiting.
_REST_SECONDS = 1.0


def end_with_parent(parent: int | None = None) -> None:
    """Let the system kill this process when its parent ends, in whatever way.

    On Linux that holds while native code is stuck as well, and it is the parent's thread that
    started this process whose end counts; elsewhere, and where others are in between, a thread
    looks every second. To be called early: where the parent has ended before, this process ends at
    once.

    Args:
        parent: its process id, where this process knows it from before; by default that of the
            one which started it.
    """
    starter = multiprocessing.parent_process()
    if parent is None:
        parent = (starter and starter.pid) or os.getppid()
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        if sys.platform != 'linux':
            _exit_when_not(lambda: os.getppid() == parent)
    elif starter is not None and starter.pid == parent and starter.is_alive():
        _exit_when_not(starter.is_alive)  # a server of multiprocessing has forked this for it
    elif _is_alive(parent):
        _exit_when_not(lambda: _is_alive(parent))
    else:
        os._exit(1)


def leave_signals_to_parent() -> None:
    """Let this process go on when the whole job is told to stop: its parent decides.

    A scheduler sends its signals to every process of a job, and data are needed until the parent
    has saved. A SIGTERM of the parent itself ends the process as before.
    """
    if sys.platform != 'linux':
        return
    parent = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def wait() -> None:
        while True:
            found = signal.sigwaitinfo(STOP_SIGNALS)
            if found.si_signo == signal.SIGTERM and found.si_pid == parent:
                os._exit(0)

    Thread(target=wait, daemon=True).start()


@cache
def fork_when_threads_rest() -> None:
    """Let this process fork only at moments when none of its other threads is at work.

    A thread of gloo or NCCL that frees a tensor comes into Python, and holds a lock as it does.
    Forked meanwhile, the child of a Python before 3.10.15, 3.11.8 or 3.12 waits for that lock
    before its first line, for ever (python/cpython#112275): a loader's process that gives no batch.
    Only Linux tells what threads do.
    """
    if sys.platform == 'linux' and sys.version_info < (3, 12):
        os.register_at_fork(before=_wait_for_threads)


def _wait_for_threads() -> None:
    end = time.monotonic() + _REST_SECONDS
    while _is_another_at_work() and time.monotonic() < end:
        Event().wait(0.001)  # without Python's lock, which it may want


def _is_another_at_work() -> bool:
    for task in Path('/proc/self/task').iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            state = (task / 'stat').read_text().rpartition(') ')[2][0]
            if state != 'S' and int(task.name) != get_native_id():
                return True
    return False


@contextmanager
def importing() -> Generator[None]:
    """Within, a program imports: nothing of that is garbage, and Python does not look for any.

    Not later either. To go through a million objects again and again takes a fifth of the time that
    torch, transformers and MMAction2 need for their imports, and two seconds more when the program
    ends.
    """
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # once: what is garbage by now is kept as well
            gc.freeze()
        gc.enable()


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees for what it needs next.

    glibc gives blocks above 32 MB back to the system at once, and takes them again page by page:
    a fifth of the time of B/16's video encoder on a CPU. What was needed at most then stays with
    the process. Where the environment says something of malloc, that holds.

    Returns:
        Whether it does; not so without glibc.
    """
    if sys.platform != 'linux' or any(
            name.startswith('MALLOC_') or name == 'GLIBC_TUNABLES' for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and all(
        mallopt(option, _MOST) for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))


def _exit_when_not(holds: Callable[[], bool]) -> None:
    def look() -> None:
        while holds():
            time.sleep(1)
        os._exit(1)

    Thread(target=look, daemon=True).start()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
