import os

import pytest

from tvtsv2_mm.apis.page.errors import PageError
from tvtsv2_mm.apis.page.files import VideoFolder, part_of


@pytest.fixture
def place(tmp_path):
    """A folder of videos that is a link, and a secret beside it."""
    (tmp_path / 'real' / 'below').mkdir(parents=True)
    (tmp_path / 'real/a.mp4').write_bytes(b'0123456789')
    (tmp_path / 'real/below/b.mp4').write_bytes(b'b')
    (tmp_path / 'real-not').mkdir()
    (tmp_path / 'real-not/c.mp4').write_bytes(b'c')
    (tmp_path / 'secret').write_bytes(b'secret')
    (tmp_path / 'videos').symlink_to(tmp_path / 'real')
    return tmp_path


def content(folder, name):
    with folder.opened(name) as file:
        return os.read(file.number, 100)


def test_files_below_the_folder(place):
    folder = VideoFolder(place / 'videos')
    (place / 'real/inside.mp4').symlink_to('below/b.mp4')
    assert content(folder, 'a.mp4') == b'0123456789'
    assert content(folder, 'below/../a.mp4') == b'0123456789'
    assert content(folder, str(place / 'real/a.mp4')) == b'0123456789'  # lists may name it whole
    assert content(folder, 'inside.mp4') == b'b'
    (place / 'videos').unlink()
    (place / 'videos').symlink_to(place)  # what it was when the page began is what is shown
    assert content(folder, 'a.mp4') == b'0123456789'
    with pytest.raises(PageError):
        folder.open('secret')


@pytest.mark.parametrize('name', [
    '../secret', 'below/../../secret', '/etc/passwd', '../real-not/c.mp4', 'out.mp4', 'up/secret',
    'up/real-not/c.mp4', 'twice.mp4', 'self/fd/0', 'memory'])
def test_what_lies_outside_is_never_opened_for_anybody(place, name):
    real = place / 'real'
    (real / 'out.mp4').symlink_to(place / 'secret')
    (real / 'up').symlink_to('..')
    (real / 'twice.mp4').symlink_to('out.mp4')
    (real / 'self').symlink_to('/proc/self')
    (real / 'memory').symlink_to('/proc/self/environ')
    with pytest.raises(PageError) as error:
        VideoFolder(place / 'videos').open(name)
    assert error.value.status in (403, 404) and str(place) not in error.value.message


@pytest.mark.parametrize('name', [
    '', '.', 'below', 'gone.mp4', 'a.mp4/', 'a.mp4\0', '\0', 'pipe', 'loop', 'x' * 300,
    'http://a/b.mp4', 's3://bucket/a.mp4', '%2e%2e%2fsecret', '..%2fsecret', '\udcff.mp4'])
def test_what_is_no_file(place, name):
    os.mkfifo(place / 'real/pipe')
    (place / 'real/loop').symlink_to('loop')
    before = len(os.listdir('/proc/self/fd'))
    with pytest.raises(PageError) as error:
        VideoFolder(place / 'real').open(name)
    assert error.value.status == 404
    assert len(os.listdir('/proc/self/fd')) == before


def test_a_name_that_changes_on_the_way_leads_nowhere_else(place, monkeypatch):
    """What is looked at is what was opened, whatever the name leads to by then."""
    (place / 'real/turns.mp4').symlink_to(place / 'secret')
    folder, fstat = VideoFolder(place / 'real'), os.fstat

    def turn(number):
        (place / 'real/turns.mp4').unlink()
        (place / 'real/turns.mp4').symlink_to('a.mp4')
        return fstat(number)

    monkeypatch.setattr(os, 'fstat', turn)
    with pytest.raises(PageError):
        folder.open('turns.mp4')
    monkeypatch.undo()
    file = folder.open('turns.mp4')
    (place / 'real/turns.mp4').unlink()
    (place / 'real/turns.mp4').symlink_to(place / 'secret')
    with open(file.path, 'rb') as again:  # as the decoder does
        assert again.read() == b'0123456789'
    os.close(file.number)


@pytest.mark.parametrize(('wanted', 'part'), [
    ('bytes=0-3', (0, 4)), ('bytes=4-', (4, 10)), ('bytes=-3', (7, 10)), ('bytes=-30', (0, 10)),
    ('bytes=8-100', (8, 10)), ('bytes=9-9', (9, 10)), (None, None), ('', None),
    ('bytes=3-1', None), ('bytes=-', None), ('bytes=a-b', None), ('lines=0-1', None),
    ('bytes=0-1,3-4', None), ('bytes=٣-٤', None), ('bytes=0-' + 30 * '9', None),
    ('bytes=--1', None),
    ('bytes=10-', ValueError), ('bytes=-0', ValueError), ('bytes=99-100', ValueError)])
def test_ranges(place, wanted, part):
    with VideoFolder(place / 'real').opened('a.mp4') as file:
        if part is ValueError:
            with pytest.raises(ValueError, match='of 10 bytes'):
                part_of(file, wanted, None)
        else:
            assert part_of(file, wanted, None) == part
        for condition, same in ((file.tag, True), (file.last_modified, True), ('"other"', False),
                                ('Thu, 01 Jan 1970 00:00:00 GMT', False), ('nonsense', False),
                                ('Thu, 01 Jan 99999 00:00:00 GMT', False)):
            assert part_of(file, 'bytes=0-3', condition) == ((0, 4) if same else None)
