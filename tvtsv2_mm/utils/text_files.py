"""Text files that users bring (lists, classes, prompts, csv): one way to read them all.

The mark that some editors put first (BOM) is dropped and tells UTF-8 from UTF-16; other encodings
are refused, not guessed. Errors name file and line.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.errors import UserFileError, shortened

# The mark of UTF-32 begins with that of UTF-16, so it is looked for first.
_MARKS = ((codecs.BOM_UTF8, 'utf-8-sig'), (codecs.BOM_UTF32_LE, 'utf-32'),
          (codecs.BOM_UTF32_BE, 'utf-32'), (codecs.BOM_UTF16_LE, 'utf-16'),
          (codecs.BOM_UTF16_BE, 'utf-16'))
_HAS_NUL = '{} is not a text file in UTF-8: it has NUL characters (UTF-16 without its mark?)'


def read_text(path: str | Path) -> str:
    """Text of a file, all ends of lines as ``\\n``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is neither UTF-8, nor UTF-16 or UTF-32 with a mark.
    """
    try:
        text = Path(path).read_text(encoding=_encoding(path))
    except UnicodeError as error:
        raise _not_text(path, error) from None
    if '\0' in text:
        raise ValueError(_HAS_NUL.format(path))
    return text


def read_lines(path: str | Path) -> Iterator[tuple[str, str]]:
    """Pairs of "file, line n" and the line without the space around it; blank lines left out.

    Raises:
        FileNotFoundError, ValueError: As :func:`read_text`.
    """
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if line.strip():
            yield f'{path}, line {number}', line.strip()


def read_names(path: str | Path) -> list[str]:
    """Lines of a list in which each may stand once: classes, prompts.

    Raises:
        FileNotFoundError, ValueError: As :func:`read_text`; or a line stands there twice.
    """
    first: dict[str, str] = {}
    for where, line in read_lines(path):
        if line in first:
            raise UserFileError(f'{where}: {line!r} is listed already ({first[line]})')
        first[line] = where
    return list(first)


def read_csv(path: str | Path, *, columns: Sequence[str], allow_ragged: bool = False,
             hint: str = '') -> Iterator[tuple[str, dict[str | None, Any]]]:
    """Pairs of "file, line n" and the row by its columns; a file of any size.

    Args:
        path: The file; its first row names the columns.
        columns: Those that must be there.
        allow_ragged: Give out rows with another number of fields than the header too, and those
            that have swallowed others; all fields of such a row are under None besides.
        hint: What to do about a missing column.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no text, a column is missing or there twice, a quote is not closed, or a
            row has another number of fields or others within.
    """
    start = 1
    with Path(path).open(encoding=_encoding(path), newline='') as file:
        rows = csv.reader(file, strict=True, skipinitialspace=True)
        try:
            header = [name.strip() for name in next(filter(None, rows), ())]
            _check_header(path, header, columns, hint)
            start = rows.line_num + 1
            for fields in rows:
                where, start = f'{path}, line {start}', rows.line_num + 1
                row: dict[str | None, Any] = dict(zip(header, fields, strict=False))
                if not fields:
                    continue
                swallowed = _swallowed(fields, len(header))
                if swallowed or len(fields) != len(header):
                    if not allow_ragged:
                        raise UserFileError(
                            f'{where}: a field holds the row {swallowed[0]!r}; is a quote (") not '
                            'closed?' if swallowed else
                            f'{where}: another number of fields than in the header')
                    row[None] = fields
                yield where, row
        except UnicodeError as error:
            raise _not_text(path, error) from None
        except csv.Error as error:
            raise UserFileError(f'{path}, line {start}: the row that begins here cannot be read '
                                f'({error}); is a quote (") not closed?') from None


def _swallowed(fields: list[str], width: int) -> list[str]:
    """Rows within fields: a quote that is not closed goes on to the next one, some rows later.

    A caption may have several lines, and commas: told by the number of them, and by the first
    field, an id or a path.
    """
    return [line for field in fields for line in field.split('\n')[1:]
            if width > 2 and line.count(',') == width - 1 and ' ' not in line.partition(',')[0]]


def _check_header(path: str | Path, found: list[str], columns: Sequence[str], hint: str) -> None:
    missing = [column for column in columns if column not in found]
    if missing:
        if len(found) == 1 and re.search('[;\t|]', found[0]):
            hint = 'its fields are to be separated by commas'
        raise ValueError(shortened(f'{path} has no column {", ".join(missing)}; it has '
                                   f'{", ".join(found) or "none"}' + (hint and f' ({hint})')))
    twice = [column for column in found if column and found.count(column) > 1]
    if twice:
        raise UserFileError(f'{path} has the column {twice[0]:.200} more than once')


def _encoding(path: str | Path) -> str:
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path}')
    with Path(path).open('rb') as file:
        start = file.read(4)
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), 'utf-8')
    if encoding.startswith('utf-8') and b'\0' in start:
        raise ValueError(_HAS_NUL.format(path))
    return encoding


def _not_text(path: str | Path, error: UnicodeError) -> ValueError:
    """Name the first line that is not UTF-8."""
    with Path(path).open('rb') as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return ValueError(f'{path} is not a text file in UTF-8 (line {number}: {error})')
    return ValueError(f'{path} is not a text file in UTF-8 or UTF-16 ({error})')
