import pytest

from tvtsv2_mm.utils.text_files import read_csv, read_lines, read_names


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-32'])
def test_marks_are_dropped_and_say_the_encoding(tmp_path, encoding):
    path = tmp_path / 'a.txt'
    path.write_bytes('ü.mp4\r\n\r\n b.mp4 '.encode(encoding))
    assert list(read_lines(path)) == [
        (f'{path}, line 1', 'ü.mp4'), (f'{path}, line 3', 'b.mp4')]
    path.write_bytes('path, label\nü.mp4,x\n'.encode(encoding))
    assert list(read_csv(path, columns=('path', 'label'))) == [
        (f'{path}, line 2', {'path': 'ü.mp4', 'label': 'x'})]


def test_other_encodings_are_refused_with_their_line(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_bytes('path,label\na,b\ncafé,x\n'.encode('latin-1'))
    for read in (read_lines, lambda path: read_csv(path, columns=('path', ))):
        with pytest.raises(ValueError, match=r'a\.csv is not a text file in UTF-8 \(line 3:'):
            list(read(path))
    with pytest.raises(FileNotFoundError, match=r'no file .*none'):
        list(read_lines(tmp_path / 'none'))


@pytest.mark.parametrize('content', ['a,b\n'.encode('utf-16-le'), 'ü\0'.encode('utf-16'), b'a,b\0'])
def test_nul_characters_are_refused(tmp_path, content):
    path = tmp_path / 'a.csv'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.csv is not a text file in UTF-8: it has NUL'):
        list(read_lines(path))
    if content[1] == 0:
        with pytest.raises(ValueError, match=r'a\.csv is not a text file'):
            list(read_csv(path, columns=('a', )))


def test_a_name_listed_twice(tmp_path):
    (tmp_path / 'a.txt').write_text('run\nwalk\n\n run \n')
    with pytest.raises(ValueError, match=r"a\.txt, line 4: 'run' is listed already \(.*line 1\)"):
        read_names(tmp_path / 'a.txt')


def test_a_message_does_not_show_all_of_a_line(tmp_path):
    (tmp_path / 'a.txt').write_text(2 * f'{"x" * 10**6}\n')
    with pytest.raises(ValueError, match='is listed already') as error:
        read_names(tmp_path / 'a.txt')
    assert len(str(error.value)) < 3000


def test_captions_of_several_lines(tmp_path):
    rows = 'a,1,"Red, round, shiny.\nIt rolls, on, and on."\n'
    (tmp_path / 'a.csv').write_text(f'path,split,caption\n{rows}')
    [(_, row)] = read_csv(tmp_path / 'a.csv', columns=('path', ))
    assert row['caption'].endswith('and on.')


def test_blanks_and_blank_lines_of_a_csv(tmp_path):
    (tmp_path / 'a.csv').write_text('\npath, caption\na.mp4, "a dog, running"\n\n')
    assert list(read_csv(tmp_path / 'a.csv', columns=('path', 'caption'))) == [
        (f'{tmp_path / "a.csv"}, line 3', {'path': 'a.mp4', 'caption': 'a dog, running'})]


@pytest.mark.parametrize(('rows', 'line'), [
    ('a,x\nb,"y\nc,z\n', 3),
    # The next quote ends it, and something stands behind.
    ('a,"x\nx"\n\nb,"y\nc,"z"\n', 5),
    (f'a,"{"x" * 200_000}\n', 2),
])
def test_a_quote_that_is_not_closed_is_named_where_it_begins(tmp_path, rows, line):
    (tmp_path / 'a.csv').write_text(f'path,caption\n{rows}')
    with pytest.raises(ValueError, match=rf'a\.csv, line {line}: .*is a quote \("\) not closed'):
        list(read_csv(tmp_path / 'a.csv', columns=('path', )))


@pytest.mark.parametrize(('text', 'message'), [
    ('a,b\n1,2\n\n1,2,3\n', r'line 4: another number of fields'),
    ('a,b\n1\n', r'line 2: another number of fields'),
    ('a, a\n', 'has the column a more than once'),
    ('a,b,c\n1,2,"x\n2,2,y\n3,2,z"\n', r"line 2: a field holds the row '2,2,y'; is a quote"),
    ('a;b\n1;2\n', r'no column a; it has a;b \(its fields are to be separated by commas'),
    ('', r'no column a; it has none \(look\)'),
])
def test_rows_that_do_not_fit(tmp_path, text, message):
    (tmp_path / 'a.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
        list(read_csv(tmp_path / 'a.csv', columns=('a', ), hint='look'))
