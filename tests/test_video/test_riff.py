import struct
from pathlib import Path

import pytest

from tests.grey_videos import numbers_of, write_grey_video
from tvtsv2_mm.video.errors import UnreadableVideoError
from tvtsv2_mm.video.opening import open_video


@pytest.mark.parametrize('length', [2**20, 0x7FFFFFFF, 0xFFFFFF7F])
@pytest.mark.parametrize('from_memory', [False, True])
def test_texts_larger_than_their_file_take_no_memory(tmp_path, length, from_memory):
    path = tmp_path / 'v.avi'
    write_grey_video(path, codec='mpeg4', options={})
    content = path.read_bytes()
    place = content.index(b'INFO') - 4
    assert content[place - 4:place] == b'LIST' and place < content.index(b'movi')

    def opened():
        return open_video(str(path), data=path.read_bytes() if from_memory else None)

    assert numbers_of(opened().get_frames([3, 38])) == [3, 38]
    path.write_bytes(content[:place] + struct.pack('<I', length) + content[place + 4:])
    with pytest.raises(UnreadableVideoError, match=r'v\.avi: its header is damaged: a list'):
        opened()


def test_an_avi_file_that_is_cut_off_is_read_as_before(tmp_path):
    path = Path(tmp_path, 'v.avi')
    write_grey_video(path, codec='mpeg4')
    content = path.read_bytes()
    path.write_bytes(content[:-200])  # its index
    assert numbers_of(open_video(str(path)).get_frames([3])) == [3]
