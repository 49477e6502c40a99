"""A folder that one run writes to at a time."""

import fcntl
import os
import socket
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import make_folder

LOCK = '.lock'
_held: set[int] = set()  # descriptors


def _close_in_child() -> None:
    # A child that was forked would hold its parent's lock for as long as it lives.
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def locked(folder: str | os.PathLike, patience: float = 0.0) -> Generator[None]:
    """Keep other runs out of a folder, which is made where it is missing.

    The system frees the lock when the process ends, whatever ends it. On a network disk it holds
    between machines where the disk has locks (NFS; Lustre mounted with ``flock``); where it has
    none there is a warning.

    Args:
        folder: the folder.
        patience: seconds to wait for it: one that was killed takes some to end.

    Raises:
        UserFileError: another run holds it; the message names its process and machine.
        UnwritableError: it cannot be made.
    """
    folder = Path(folder)
    make_folder(folder)
    # Not emptied before it is ours: it says whose it is.
    with open(folder / LOCK, 'a+', encoding='utf-8') as file:
        if not _take(file.fileno(), patience):
            file.seek(0)
            raise UserFileError(
                f'another run is writing to {folder}{_holder(file.read())}: wait for it, end it, '
                'or choose another folder')
        file.truncate(0)
        file.write(f'{os.getpid()} {socket.gethostname()}\n')
        file.flush()
        _held.add(file.fileno())
        try:
            yield
        finally:
            _held.discard(file.fileno())


def is_locked(folder: str | os.PathLike) -> bool:
    """Whether a run holds the folder."""
    try:
        with open(Path(folder, LOCK), encoding='utf-8') as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _take(descriptor: int, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.1)
        except OSError as error:
            warnings.warn(f'this disk has no locks ({error}): see to it that no other run writes '
                          'to the same folder', stacklevel=4)
            return True
        else:
            return True


def _holder(text: str) -> str:
    process, _, host = text.strip().partition(' ')
    return f' (process {process} on {host})' if host else ''
