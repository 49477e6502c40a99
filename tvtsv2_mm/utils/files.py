"""Files that are there whole or not at all, and JSON that is checked when it is read."""

import errno
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Container, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, cast

from tvtsv2_mm.utils.errors import UnwritableError, one_error

_DRAFT = '.part'
_ADVICE = {
    errno.ENOSPC: 'make room there, or choose another folder',
    errno.EDQUOT: 'make room there (your quota is used up), or choose another folder',
    errno.EFBIG: 'files of this size are not allowed there: choose another folder',
    errno.EROFS: 'choose a folder that can be written to',
    errno.EACCES: 'choose a folder that you may write to',
    errno.EPERM: 'choose a folder that you may write to',
    errno.EIO: 'the disk or its network fails: look after it, or choose another folder',
    errno.ESTALE: 'the network disk has lost the folder: run it again, or choose another folder',
    errno.ENOENT: 'its folder has vanished: make it again',
    errno.ENOTDIR: 'its folder is no folder',
    errno.EISDIR: 'a folder has its name',
    errno.EEXIST: 'a file has its name',
    errno.ENAMETOOLONG: 'choose a shorter name',
}

_HALF_CHARACTER = re.compile(r'\\u[dD][89a-fA-F]')


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write a file so that it is there whole or not at all, whatever happens on the way.

    Its folder is there. The content is bytes, or a function that writes the file it is given.

    Raises:
        UnwritableError: the disk is full, may not be written to or fails; the message says which.
    """
    path = Path(path)
    draft = draft_of(path)
    with writing(path):
        try:
            if callable(content):
                content(draft)
            else:
                draft.write_bytes(content)
            put_in_place(draft, path)
        finally:
            with suppress(OSError):  # a file system that is read-only says so of what is not there
                draft.unlink(missing_ok=True)


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = sha256()
    with Path(path).open('rb') as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def file_stamp(path: Path) -> dict[str, int]:
    """``size`` and ``time`` of a file, by which a change is seen; empty where there is none."""
    if not path.is_file():
        return {}
    stat = path.stat()
    return dict(size=stat.st_size, time=stat.st_mtime_ns)


def make_folder(path: Path) -> None:
    """Make a folder, and those that it is in, where they are missing.

    Raises:
        UnwritableError: it cannot be made.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def draft_of(path: Path) -> Path:
    """A name for what becomes a file; no other process, on whatever machine, takes the same."""
    return path.with_name(f'.{path.name}.{token_hex(4)}{_DRAFT}')


def put_in_place(draft: Path, path: Path) -> None:
    """Give a file or folder that is written its name, so that not even a power cut tears it."""
    if draft.is_file():
        sync(draft)
    os.replace(draft, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    try:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
    except OSError as error:
        # Of a folder: some network disks cannot, and one may be written to and not read.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES):
            raise


def remove_drafts(folder: Path) -> None:
    """Take away what killed processes left of files and folders; nobody else writes there now."""
    for draft in folder.glob(f'.*{_DRAFT}'):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, numbers: Container[int] = _ADVICE) -> Generator[None]:
    """Make what a disk does to the writing of a file one error that names it.

    Args:
        path: the file, or folder.
        numbers: of the system's errors that are meant (``errno``).

    Raises:
        UnwritableError: see there; any other error is left as it is.
    """
    try:
        yield
    except UnwritableError:
        raise
    except Exception as error:
        for cause in _causes(error):
            number = _number(cause)
            if number in numbers and _is_about(cause, path.absolute()):
                raise UnwritableError(
                    number, f'{path} could not be written: {os.strerror(number)}. What was there '
                    f'is untouched; {_ADVICE[number]}') from error
        raise


def _is_about(error: BaseException, path: Path) -> bool:
    """Whether an error may be of this file, its draft or its folders: not of one that was read."""
    named = getattr(error, 'filename', None)
    if not isinstance(named, str | bytes | os.PathLike):
        return True
    file = Path(os.fsdecode(named)).absolute()
    inside = file.relative_to(path.parent).parts if file.is_relative_to(path.parent) else ()
    return file in path.parents or path.name in ''.join(inside[:1])


def _causes(error: BaseException | None) -> Generator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int:
    """The number of a system's error, or 0; safetensors has it in its words, numpy forgets it."""
    if isinstance(error, OSError):
        short = error.errno is None and re.fullmatch(r'\d+ requested and \d+ written', str(error))
        return errno.ENOSPC if short else error.errno or 0
    found = re.search(r'\(os error (\d+)\)|Os \{ code: (\d+)', str(error))
    return int(found[1] or found[2]) if found else 0


@contextmanager
def open_to_save(path: Path) -> Generator[BinaryIO]:
    """A new file for torch, which makes another error of one, that tells nothing, or aborts.

    What cannot be written is raised at the end.
    """
    with open(path, 'wb') as file:
        quiet = _Quiet(file)
        yield cast(BinaryIO, quiet)
        if quiet.error is not None:
            raise quiet.error


class _Quiet(io.RawIOBase):

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written = 0
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def fileno(self) -> int:
        self._file.flush()  # who asks wants to sync
        return self._file.fileno()

    def write(self, data: Any) -> int:
        length = memoryview(data).nbytes
        if self.error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
        self._written += length
        return length


def to_json(value: Mapping) -> bytes:
    """Indented JSON, UTF-8."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b'\n'


def to_json_lines(values: Iterable[Mapping]) -> bytes:
    """One object a line."""
    return b''.join(json.dumps(value, ensure_ascii=False).encode() + b'\n' for value in values)


def read_json(path: Path) -> dict:
    """Read a JSON file of one object.

    Raises:
        ValueError: it is none.
    """
    with one_error(f'{path} is damaged'):
        return _object(path.read_text('utf-8'))


def parse_json(text: str, **options: Any) -> Any:
    """The value of a JSON text of anybody, which can be written in UTF-8 again.

    ``options`` are those of ``json.loads``.

    Raises:
        ValueError: it is none, is nested too deeply, or spells half a character.
    """
    try:
        value = json.loads(text, **options)
        if _HALF_CHARACTER.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError('it is nested too deeply') from None
    except UnicodeEncodeError as error:
        raise ValueError(f'it holds half a character ({error.reason})') from None
    return value


def read_json_lines(path: Path, fields: Mapping[str, Any]) -> list[dict]:
    """Read a file with one object a line, each checked by :func:`check_fields`.

    Raises:
        ValueError: a line is none, or lacks a value.
    """
    with one_error(f'{path} is damaged'):
        # Not splitlines(): names may hold characters that it takes for ends of lines.
        rows = [_object(line) for line in path.read_text('utf-8').split('\n') if line]
    for number, row in enumerate(rows, 1):
        check_fields(row, fields, f'{path}, line {number}')
    return rows


def check_fields(record: Mapping[str, Any], fields: Mapping[str, Any], message: str) -> None:
    """Look whether a record has what is used of it, by the type of each value.

    ``[str]`` is a list of texts, a mapping such a record, a pattern a text that it fits.

    Raises:
        ValueError: a value is missing or of another type.
    """
    for key, kind in fields.items():
        if not _fits(record.get(key), kind):
            raise ValueError(f'{message}: its "{key}" is {record.get(key)!r:.80}')


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and all(_fits(entry, kind[0]) for entry in value)
    if isinstance(kind, Mapping):
        return isinstance(value, dict) and all(_fits(value.get(key), kind[key]) for key in kind)
    if isinstance(kind, re.Pattern):
        return isinstance(value, str) and kind.fullmatch(value) is not None
    return isinstance(value, kind) and not isinstance(value, bool)


def _object(text: str) -> dict:
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ValueError(f'a JSON object is needed, found {text[:40]!r}')
    return value
