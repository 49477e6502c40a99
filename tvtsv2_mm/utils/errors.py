"""What is wrong with a file of the user; one error for whatever damaged bytes make of a parser."""

from collections.abc import Generator
from contextlib import contextmanager

from tvtsv2_mm.utils.extras import MissingPackageError

# Characters of a message: what a file holds is shown in it, and may be of any length.
_MOST = 2000


class UserFileError(ValueError):
    """A file of the user is wrong; the message names it and says what to do, at bounded length."""

    def __init__(self, message: object = '', *others: object) -> None:
        super().__init__(shortened(message), *others)


def shortened(message: object) -> str:
    """A message of which the middle is left out where it is too long to be read."""
    text = str(message)
    return text if len(text) <= _MOST else f'{text[:_MOST // 2]} [...] {text[-_MOST // 4:]}'


class UnwritableError(OSError, UserFileError):
    """A file could not be written; the message names it, says why and what to do."""

    def __str__(self) -> str:
        return str(self.args[1])


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
        raise kind(shortened(f'{message}: {found}')) from error


class RunStoppedError(RuntimeError):
    """All ranks of a run stop here, for the same reason; one of them tells it."""
