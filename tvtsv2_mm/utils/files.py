"""Files that are there whole or not at all, and JSON that is checked when it is read."""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.errors import one_error

_HALF_CHARACTER = re.compile(r'\\u[dD][89a-fA-F]')


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write a file so that it is there whole or not at all, whatever happens on the way.

    Its folder is there. The content is bytes, or a function that writes the file it is given.
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
