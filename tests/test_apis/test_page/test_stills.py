import asyncio
from contextlib import contextmanager

import numpy as np
import pytest

from tvtsv2_mm.apis.clips import ArrayReader
from tvtsv2_mm.apis.page.errors import PageError
from tvtsv2_mm.apis.page.files import VideoFolder
from tvtsv2_mm.apis.page.stills import Stills
from tvtsv2_mm.video.errors import DecodingTimeoutError, UnreadableVideoError
from tvtsv2_mm.video.frame_scaling import FrameScaling


class Decoders:
    """Gives frames of one second each, or what it is told to raise; counts."""

    def __init__(self):
        self.opened_at, self.error = [], None

    @contextmanager
    def opened(self, path, **_):
        with open(path, 'rb') as file:
            self.opened_at.append(file.read())
        if self.error:
            raise self.error
        yield ArrayReader(np.zeros((5, 900, 1600, 3), np.uint8), 'a', FrameScaling())


@pytest.fixture
def stills(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'one')
    found = Stills(VideoFolder(tmp_path), Decoders())
    yield found
    found.close()


def get(stills, seconds=1.0):
    return asyncio.run(stills.get('a.mp4', seconds))


def test_a_picture_is_made_once_until_the_file_changes(stills, tmp_path):
    picture, tag = get(stills)
    assert picture[:2] == b'\xff\xd8' and get(stills, 1.04) == (picture, tag)
    assert get(stills, 2.0)[1] != tag and stills._decoders.opened_at == [b'one'] * 2
    (tmp_path / 'a.mp4').write_bytes(b'other')
    assert get(stills)[1] != tag and stills._decoders.opened_at[2:] == [b'other']


def test_what_cannot_be_read_is_kept_and_what_took_too_long_is_not(stills):
    stills._decoders.error = UnreadableVideoError('/place/a.mp4', 'it is damaged')
    for _ in range(3):
        with pytest.raises(PageError) as found:
            get(stills)
        assert (found.value.status, found.value.message) == (
            422, 'the video cannot be read: it is damaged')
    assert len(stills._decoders.opened_at) == 1
    stills._decoders.error = DecodingTimeoutError('/place/a.mp4', 10)
    for _ in range(2):
        with pytest.raises(PageError) as found:
            get(stills, 3.0)
        assert found.value.status == 503 and '/place' not in found.value.message
    stills._decoders.error = None
    assert get(stills, 3.0)[0][:2] == b'\xff\xd8'
