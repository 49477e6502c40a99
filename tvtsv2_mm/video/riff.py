"""What FFmpeg believes of an AVI file, looked at before it opens one."""

import io
import os
import struct

from tvtsv2_mm.video.errors import UnreadableVideoError
from tvtsv2_mm.video.source import VideoSource

_CHUNK = struct.Struct('<4sI')  # what it is, and how many bytes follow


def check_avi_texts(source: VideoSource) -> None:
    """Refuse an AVI file in whose head a list of texts is larger than the file.

    FFmpeg takes memory for a text as long as its list is said to be, up to gigabytes. It reads the
    head chunk after chunk, enters every list, and begins with the pictures at the list of these.

    Raises:
        UnreadableVideoError: That list would lie before the pictures, so that none can be read.
    """
    opened = source.open()
    with opened if isinstance(opened, io.BytesIO) else open(opened, 'rb') as file:
        if not _is_avi(file.read(12)):
            return
        size = file.seek(0, os.SEEK_END)
        place = file.seek(12)
        while len(head := file.read(_CHUNK.size)) == _CHUNK.size:
            kind, length = _CHUNK.unpack(head)
            list_kind = file.read(4) if kind == b'LIST' else None
            if list_kind == b'movi':
                return
            if list_kind == b'INFO' and place + _CHUNK.size + length > size:
                raise UnreadableVideoError(source.path, 'its header is damaged: a list of texts is '
                                           'larger than the file')
            place += _CHUNK.size + (4 if list_kind else length + length % 2)
            if list_kind == b'INFO':
                place += length - 4
            file.seek(place)


def _is_avi(head: bytes) -> bool:
    return head[:4] == b'RIFF' and head[8:11] == b'AVI'
