"""Reading of official annotation files, with errors that name file and line."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_text(path: str | Path) -> str:
    """Text of a file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path} (an official annotation file)')
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not a text file in UTF-8 ({error})') from None


def read_lines(path: str | Path) -> Iterator[tuple[str, str]]:
    """Pairs of "file, line n" and the line without the space around it; blank lines left out."""
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if line.strip():
            yield f'{path}, line {number}', line.strip()


def read_json(path: str | Path) -> Any:
    """Content of a json file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not json.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f'{path} is not json ({error})') from None


def read_json_list(path: str | Path, *, keys: tuple[str, ...]) -> list[dict]:
    """Objects of a json list, or of JSON lines (``.jsonl``), that have these keys.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another kind of file, or an object lacks a key.
    """
    if str(path).endswith('.jsonl'):
        records = []
        for where, line in read_lines(path):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f'{where}: not json ({error})') from None
    else:
        records = read_json(path)
    return _check_records(records, str(path), keys)


def read_records(content: Any, path: str | Path, name: str, *, keys: tuple[str, ...]) -> list[dict]:
    """Objects of the list ``name`` in the content of a json file, that have these keys.

    Raises:
        ValueError: There is no such list, or an object lacks a key.
    """
    if not isinstance(content, dict) or name not in content:
        raise ValueError(f'{path}: an object with the list "{name}" is needed')
    return _check_records(content[name], f'{path}, {name}', keys)


def _check_records(records: Any, where: str, keys: tuple[str, ...]) -> list[dict]:
    if not isinstance(records, list):
        raise ValueError(f'{where}: a list of objects is needed, one for each record')
    for number, record in enumerate(records):
        if not isinstance(record, dict) or any(key not in record for key in keys):
            raise ValueError(f'{where}: record {number} must have {", ".join(keys)}; it is '
                             f'{str(record)[:80]}')
    return records


def read_csv(path: str | Path, *, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Pairs of "file, line n" and the row by its columns.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or a row has another number of fields.
    """
    reader = csv.DictReader(read_text(path).splitlines(keepends=True))
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f'{path} has no column {", ".join(missing)}; it has '
                         f'{", ".join(reader.fieldnames or ()) or "none"}')
    for row in reader:
        where = f'{path}, line {reader.line_num}'
        if None in row or None in row.values():
            raise ValueError(f'{where}: another number of fields than in the header')
        yield where, row
