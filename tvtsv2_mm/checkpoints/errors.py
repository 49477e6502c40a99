"""What is wrong with a checkpoint."""

import pickle
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.extras import MissingPackageError

UNREADABLE = ' cannot be read as a checkpoint'


class CheckpointError(UserFileError):
    """A checkpoint cannot be read or does not fit: layout, keys, sizes or values."""


class RefusedCheckpointError(CheckpointError, pickle.UnpicklingError):
    """A checkpoint needs more than tensors and plain values."""


@contextmanager
def naming(file: str | Path | None, why: str = '') -> Generator[None]:
    """Put the file before an error that does not name it."""
    try:
        yield
    except CheckpointError as error:
        if file is None or str(file) in str(error):
            raise
        raise type(error)(f'{file}{why}: {error}') from error


@contextmanager
def reading(file: Path) -> Generator[None]:
    """Make whatever damaged bytes do to a library one error that names the file."""
    try:
        yield
    except (CheckpointError, FileNotFoundError, MissingPackageError):
        raise
    except Exception as error:
        raise CheckpointError(f'{file}{UNREADABLE}: {reason(error)}') from error


def reason(error: Exception) -> str:
    """One line on an error of another library, without its advice to load unsafely."""
    text = str(error).split('WeightsUnpickler error: ')[-1].strip().split('\n')[0]
    return f'it is damaged ({type(error).__name__}{text and ": "}{text[:200]})'
