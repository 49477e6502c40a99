"""What is wrong with a file of the user; one error for whatever damaged bytes make of a parser."""

from collections.abc import Generator
from contextlib import contextmanager

from tvtsv2_mm.utils.extras import MissingPackageError


class UserFileError(ValueError):
    """A file of the user is wrong; the message names it and says what to do."""


@contextmanager
def one_error(message: str, kind: type[ValueError] = ValueError) -> Generator[None]:
    """Turn all that reading a file raises into one error.

    To be put around the reading of a file's content alone: a fault of the program would be told as
    one of the file. The message names the file and says what it is not; what was found follows.

    Raises:
        FileNotFoundError, MissingPackageError: as they come.
        ValueError: ``kind``, of everything else.
    """
    try:
        yield
    except (FileNotFoundError, MissingPackageError):
        raise
    except Exception as error:
        found = (str(error) if type(error) in (ValueError, kind) else
                 f'{type(error).__name__}: {error}')
        raise kind(f'{message}: {found}') from error


class RunStoppedError(RuntimeError):
    """All ranks of a run stop here, for the same reason; one of them tells it."""
