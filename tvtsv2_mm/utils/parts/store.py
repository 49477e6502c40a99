"""A folder of results that grows by whole parts and survives a kill at any moment.

Layout::

    meta.json               what the results were made with
    parts/00000000.json     what a part holds; it is there when the part is finished

What else belongs to a part is written before its .json, under another name first. What is made of
all parts together is written last, and can be made again from them.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.errors import one_error

FAILURE = dict(video=str, reason=str)


class PartStore:
    """The folder, for writing.

    Args:
        folder: made where it is missing.
        fields: of the record of a part, see :func:`check_fields`.
    """

    def __init__(self, folder: str | os.PathLike, fields: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.fields = fields

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second run out of the folder; a kill frees it.

        Raises:
            ValueError: another one is at work here.
        """
        (self.folder / 'parts').mkdir(parents=True, exist_ok=True)
        with open(self.folder / '.lock', 'w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f'another run is writing to {self.folder}: wait for it, or '
                                 'choose another folder') from None
            yield

    def begin(self, meta: Mapping[str, Any]) -> None:
        """Write what the results are made with, or compare it with what is there.

        To be called with the folder locked.

        Raises:
            ValueError: the folder holds results that were made with something else.
        """
        for draft in (self.folder / 'parts').glob('.*'):
            draft.unlink()  # of a run that was killed while it wrote
        path = self.folder / 'meta.json'
        if path.is_file():
            there, meta = read_json(path), json.loads(to_json(meta))
            different = [f'{key}: {there.get(key)!r} there, {meta.get(key)!r} now'
                         for key in sorted({*there, *meta}) if there.get(key) != meta.get(key)]
            if different:
                raise ValueError(f'{self.folder} holds results made with something else, choose '
                                 'another folder:\n  ' + '\n  '.join(different))
        write_atomically(path, to_json(meta))

    def parts(self) -> Iterator[dict[str, Any]]:
        """The records of the finished parts in order, with their ``number``.

        Raises:
            ValueError: one is damaged.
        """
        for path in sorted((self.folder / 'parts').glob('[0-9]' * 8 + '.json')):
            record = read_json(path)
            check_fields(record, self.fields, f'{path} is damaged (delete it, and the part is made '
                         'again)')
            yield dict(record, number=int(path.stem))

    def has_part(self, number: int) -> bool:
        """Whether a part is finished."""
        return (self.folder / f'parts/{number:08d}.json').is_file()

    def write_record(self, number: int, record: Mapping[str, Any]) -> None:
        """Write what a part holds, and so that it is finished."""
        write_atomically(self.folder / f'parts/{number:08d}.json', to_json(record))


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write a file so that it is there whole or not at all, whatever happens on the way.

    Args:
        path: the file; its folder is there.
        content: bytes, or a function that writes the file that it is given.
    """
    draft = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        if callable(content):
            content(draft)
        else:
            draft.write_bytes(content)
        with open(draft, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def to_json(value: Mapping) -> bytes:
    """Indented JSON, UTF-8."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b'\n'


def to_json_lines(values: Sequence[Mapping]) -> bytes:
    """One object a line."""
    return b''.join(json.dumps(value, ensure_ascii=False).encode() + b'\n' for value in values)


def read_json(path: Path) -> dict:
    """Read a JSON file of one object.

    Raises:
        ValueError: it is none.
    """
    with one_error(f'{path} is damaged'):
        return _object(path.read_text('utf-8'))


def read_json_lines(path: Path) -> list[dict]:
    """Read a file with one object a line.

    Raises:
        ValueError: a line is none.
    """
    with one_error(f'{path} is damaged'):
        # Not splitlines(): names may hold characters that it takes for ends of lines.
        return [_object(line) for line in path.read_text('utf-8').split('\n') if line]


def check_fields(record: Mapping[str, Any], fields: Mapping[str, Any], message: str) -> None:
    """Look whether a record has what is used of it.

    Args:
        record: as it was read.
        fields: type of each value; ``[str]`` is a list of texts, ``[FAILURE]`` one of such records;
            a pattern is a text that it fits.
        message: before the error.

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
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f'a JSON object is needed, found {text[:40]!r}')
    return value
