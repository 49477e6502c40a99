"""Reading of official annotation files in json, with errors that name file and record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import parse_json
from tvtsv2_mm.utils.text_files import read_lines, read_text


def first_names(names: Sequence[str]) -> str:
    """Three of many names for a message; a name may be of any length."""
    return ', '.join(name[:100] for name in names[:3])


def read_json(path: str | Path) -> Any:
    """Content of a json file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not json.
    """
    return _parse(read_text(path), f'{path} is')


def read_json_list(path: str | Path, *, keys: tuple[str, ...]) -> list[dict]:
    """Objects of a json list, or of JSON lines (``.jsonl``), with a text under each of these keys.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another kind of file, or an object lacks a text.
    """
    if str(path).lower().endswith('.jsonl'):
        records = [_parse(line, f'{where}:') for where, line in read_lines(path)]
    else:
        records = read_json(path)
    return _check_records(records, str(path), keys)


def read_records(content: Any, path: str | Path, name: str, *, keys: tuple[str, ...]) -> list[dict]:
    """Objects of the list ``name`` in a json file, with a text under each of these keys.

    Raises:
        ValueError: There is no such list, or an object lacks a text.
    """
    if not isinstance(content, dict) or name not in content:
        raise UserFileError(f'{path}: an object with the list "{name}" is needed')
    return _check_records(content[name], f'{path}, {name}', keys)


def _parse(text: str, where: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise UserFileError(f'{where} not json ({error})') from None


def _check_records(records: Any, where: str, keys: tuple[str, ...]) -> list[dict]:
    if not isinstance(records, list):
        raise UserFileError(f'{where}: a list of objects is needed, one for each record')
    for number, record in enumerate(records):
        if not isinstance(record, dict) or any(
                not isinstance(record.get(key), str) for key in keys):
            raise UserFileError(
                f'{where}: record {number} must have {", ".join(keys)}, each a text; '
                f'it is {str(record)[:80]}')
    return records
