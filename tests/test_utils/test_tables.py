import os

import pytest

from tvtsv2_mm.utils import tables
from tvtsv2_mm.utils.tables import print_table

LONG = 'a/very/long/folder/' * 10 + 'with  blanks and a name.mp4'


def cells(text):
    rows = [line.strip('|').split('|') for line in text.splitlines() if line.startswith('|')]
    return [''.join(cell[1:-1] for cell in column).replace(' ', '')
            for column in zip(*rows, strict=True)]


@pytest.mark.parametrize('columns', [20, 40, 80, 400])
def test_a_terminal_gets_folded_columns_and_a_pipe_whole_lines(capsys, monkeypatch, columns):
    rows = [['video', 'rank', 'text'], [LONG, 1, 'a man who speaks ' * 9], ['b.mp4', 2, '']]
    print_table(rows)
    whole = capsys.readouterr().out
    assert LONG in whole
    monkeypatch.setattr(tables.sys.stdout, 'isatty', lambda: True, raising=False)
    monkeypatch.setattr(tables.shutil, 'get_terminal_size',
                        lambda fallback=None: os.terminal_size((columns, 9)))
    print_table(rows)
    folded = capsys.readouterr().out
    assert max(map(len, folded.splitlines())) <= max(columns, 36)
    assert cells(folded) == cells(whole)


def test_what_does_not_print_is_written_out(capsys):
    print_table([['video'], ['a\x1b[2J\n\udcff.mp4']])
    assert r'a\x1b[2J\n\udcff.mp4' in capsys.readouterr().out
