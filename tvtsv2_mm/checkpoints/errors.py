"""What is wrong with a checkpoint."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvtsv2_mm.utils.errors import UserFileError


class CheckpointError(UserFileError):
    """A checkpoint cannot be read or does not fit: layout, keys, sizes or values."""


class RefusedCheckpointError(CheckpointError, pickle.UnpicklingError):
    """A checkpoint needs more than tensors and plain values."""


@contextmanager
def naming(file: str | Path | None) -> Iterator[None]:
    """Put the file before an error that does not name it."""
    try:
        yield
    except CheckpointError as error:
        if file is None or str(file) in str(error):
            raise
        raise type(error)(f'{file}: {error}') from error
