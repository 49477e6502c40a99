"""Tables on the terminal, in which no name is lost, and in Markdown."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from terminaltables import AsciiTable

_NARROWEST = 8


def print_table(rows: Sequence[Sequence[Any]]) -> None:
    """Print a table, the first row as its heading.

    A terminal narrower than the table gets its widest columns folded; files and pipes get lines of
    any length.
    """
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    table = AsciiTable(cells)
    if sys.stdout.isatty():
        widths = table.column_widths
        excess = table.table_width - shutil.get_terminal_size().columns
        while excess > 0 and max(widths) > _NARROWEST:
            widths[widths.index(max(widths))] -= 1
            excess -= 1
        table = AsciiTable([['\n'.join(textwrap.wrap(cell, width, drop_whitespace=False))
                             for cell, width in zip(row, widths, strict=True)] for row in cells])
    print(table.table)


def markdown_table(rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, the first row as its heading."""
    return '\n'.join('| ' + ' | '.join(map(str, row)) + ' |'
                     for row in (rows[0], ['---'] * len(rows[0]), *rows[1:]))


def clock_time(seconds: float) -> str:
    """Seconds as players tell them, to a tenth.

    Examples:
        >>> clock_time(3.25), clock_time(3725.96)
        ('0:03.2', '1:02:06.0')
    """
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f'{hours}:{minutes:02d}' if hours else f'{minutes}'
    return f'{clock}:{rest // 10:02d}.{rest % 10}'


def printable(text: str) -> str:
    """The text with what does not print (ends of lines, codes that steer a terminal, bytes that are
    no UTF-8) written out, as names of files may hold anything.

    Examples:
        >>> printable('a\\x1b[2J.mp4')
        'a\\\\x1b[2J.mp4'
    """
    return ''.join(character if character.isprintable() else ascii(character)[1:-1]
                   for character in text)
