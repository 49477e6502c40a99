"""A video as an answer of HTTP: whole, or a range of its bytes, read as it is sent."""

import os
from collections.abc import AsyncIterator
from urllib.parse import quote

from tvtsv2_mm.apis.page.errors import PageError
from tvtsv2_mm.apis.page.files import OpenFile, VideoFolder, part_of
from tvtsv2_mm.apis.page.guard import Receive, Scope, Send
from tvtsv2_mm.utils.extras import needed_for

with needed_for('the page'):
    import anyio.to_thread
    from fastapi import Request, Response
    from fastapi.responses import StreamingResponse

_BLOCK = 2**18  # bytes at a time


def answer_with_video(request: Request, videos: VideoFolder, name: str) -> Response:
    """Answer with a file of the folder.

    Raises:
        PageError: there is none, or it has no such part.
    """
    file = videos.open(name)
    headers = {
        'accept-ranges': 'bytes', 'etag': file.tag, 'last-modified': file.last_modified,
        'cache-control': 'private, no-cache', 'content-type': file.kind,
        'content-disposition': f"inline; filename*=UTF-8''{quote(os.path.basename(name), safe='')}"}
    try:
        if request.headers.get('if-none-match') == file.tag:
            os.close(file.number)
            return Response(status_code=304, headers=headers)
        try:
            part = part_of(file, request.headers.get('range'), request.headers.get('if-range'))
        except ValueError:
            raise PageError(416, 'the video has no such part',
                            {'content-range': f'bytes */{file.size}'}) from None
        start, stop = part or (0, file.size)
        headers['content-length'] = str(stop - start)
        if part:
            headers['content-range'] = f'bytes {start}-{stop - 1}/{file.size}'
        status = 206 if part else 200
        if request.method == 'HEAD':
            os.close(file.number)
            return Response(status_code=status, headers=headers)
        return _FileResponse(file, start, stop, status, headers)
    except PageError:
        os.close(file.number)
        raise


class _FileResponse(StreamingResponse):
    """Closes the file whatever becomes of the answer."""

    def __init__(self, file: OpenFile, start: int, stop: int, status: int,
                 headers: dict[str, str]) -> None:
        super().__init__(_blocks(file.number, start, stop), status, headers)
        self._number = file.number

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._number)


async def _blocks(number: int, start: int, stop: int) -> AsyncIterator[bytes]:
    while start < stop:
        block = await anyio.to_thread.run_sync(
            os.pread, number, min(_BLOCK, stop - start), start)
        if not block:
            return  # it has become shorter: the connection ends before what was promised
        start += len(block)
        yield block
