import errno
import os

import numpy as np
import pytest

from tvtsv2_mm.utils import files
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import (
    draft_of,
    make_folder,
    open_to_save,
    put_in_place,
    remove_drafts,
    write_atomically,
    writing,
)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / 'a.json'
    path.write_bytes(b'old')
    return path


def test_what_is_read_while_it_is_written_is_the_old_file(old):
    inside = []

    def write(draft):
        draft.write_bytes(b'half')
        inside.append((old.read_bytes(), draft.parent))

    with open(old, 'rb') as reader:
        write_atomically(old, write)
        assert reader.read() == b'old'  # one that was open, or is mapped into memory
    assert inside == [(b'old', old.parent)]  # on the same disk: else it would be copied
    assert old.read_bytes() == b'half'
    write_atomically(old, b'new')
    assert old.read_bytes() == b'new'
    assert os.listdir(old.parent) == ['a.json']


def test_no_two_drafts_are_the_same(old):
    """Two machines may have the same process ids."""
    assert len({draft_of(old) for _ in range(100)}) == 100


def test_file_and_folder_are_on_the_disk_when_it_returns(old, monkeypatch):
    synced, sync = [], files.sync
    replace = os.replace
    monkeypatch.setattr(files, 'sync', lambda path: synced.append(path.name[:7]) or sync(path))
    monkeypatch.setattr(os, 'replace', lambda *names: synced.append('replace') or replace(*names))
    write_atomically(old, b'new')
    assert synced == ['.a.json', 'replace', old.parent.name[:7]]


def test_a_folder_that_cannot_be_synced(old, monkeypatch):
    def refuse(number):
        if os.path.isdir(f'/proc/self/fd/{number}'):
            raise OSError(errno.EINVAL, 'no')

    monkeypatch.setattr(os, 'fsync', refuse)
    write_atomically(old, b'new')
    assert old.read_bytes() == b'new'


@pytest.mark.parametrize(('number', 'message'), [
    (errno.ENOSPC, r'a\.json could not be written: No space left on device\. What was there is '
                   'untouched; make room there'),
    (errno.EDQUOT, 'your quota'), (errno.EROFS, 'can be written to'), (errno.EACCES, 'may write'),
    (errno.EIO, 'look after it'), (errno.ESTALE, 'has lost the folder')])
@pytest.mark.parametrize('where', ['write', 'fsync', 'replace'])
def test_what_a_disk_does_is_one_error_that_names_the_file(
        old, monkeypatch, number, message, where):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    if where != 'write':
        monkeypatch.setattr(os, where, fail)
    if (number, where) == (errno.EACCES, 'fsync'):
        return  # of a folder that may not be read
    with pytest.raises(UserFileError, match=message) as told:
        write_atomically(old, fail if where == 'write' else b'new')
    assert isinstance(told.value, OSError) and told.value.errno == number
    assert len(str(told.value).splitlines()) == 1
    assert old.read_bytes() == b'old'
    assert os.listdir(old.parent) == ['a.json']


def raising(error, cause=None):
    def write(draft):
        raise error from cause
    return write


@pytest.mark.parametrize('error', [
    RuntimeError('a bug'), KeyError('x'), FileNotFoundError(errno.ENOENT, 'no', '/data/video.mp4'),
    OSError('ended early')])
def test_other_errors_are_left_alone(old, error):
    with pytest.raises(type(error)) as told:
        write_atomically(old, raising(error))
    assert told.value is error


def test_what_libraries_make_of_a_full_disk(old):
    full = OSError(errno.ENOSPC, 'full')
    with pytest.raises(UserFileError, match='No space left'):
        write_atomically(old, raising(RuntimeError('unexpected pos 3'), full))
    with pytest.raises(UserFileError, match='No space left'):
        write_atomically(old, raising(RuntimeError('I/O error: No space (os error 28) at "x"')))
    with pytest.raises(UserFileError, match='No space left'):
        write_atomically(old, raising(OSError('100 requested and 10 written')))  # numpy's


def test_a_folder_that_vanishes(tmp_path):
    with pytest.raises(UserFileError, match=r'a\.json could not be written: No such file'):
        write_atomically(tmp_path / 'gone' / 'a.json', b'')
    (tmp_path / 'file').touch()
    with pytest.raises(UserFileError, match='is no folder'):
        make_folder(tmp_path / 'file' / 'x')
    with pytest.raises(UserFileError, match='a folder has its name'):
        write_atomically(tmp_path, b'')


def test_a_disk_that_fails_under_a_library_is_told_at_the_end(tmp_path, monkeypatch):
    """Which asks where it is, and would make something else of an error."""
    with open_to_save(tmp_path / 'x') as file:
        np.save(file, np.zeros(3))
        place = file.tell()
        assert os.fstat(file.fileno()).st_size == place
    assert place == (tmp_path / 'x').stat().st_size
    with (pytest.raises(OSError, match='No space left'), open_to_save('/dev/full') as file):
        for _ in range(3):
            assert file.write(b'x' * 100_000) == 100_000
        assert file.tell() == 300_000
    with pytest.raises(UserFileError, match='full could not'), writing(tmp_path / 'full'), \
            open_to_save('/dev/full') as file:
        file.write(b'x' * 100_000)


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / 'kept').touch()
    draft_of(tmp_path / 'x').touch()
    folder = draft_of(tmp_path / 'y')
    folder.mkdir()
    (folder / 'z').touch()
    remove_drafts(tmp_path)
    assert os.listdir(tmp_path) == ['kept']


def test_a_folder_gets_its_name(tmp_path):
    (tmp_path / 'a').mkdir()
    put_in_place(tmp_path / 'a', tmp_path / 'b')
    assert os.listdir(tmp_path) == ['b']


