"""The JSON API, and the page that is made of it."""

import json
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated, Any

from tvtsv2_mm.apis.page.errors import BusyError, PageError
from tvtsv2_mm.apis.page.guard import App, Guard
from tvtsv2_mm.apis.page.library import Found, Library, Wanted
from tvtsv2_mm.apis.page.videos import answer_with_video
from tvtsv2_mm.utils.errors import shortened
from tvtsv2_mm.utils.extras import needed_for

with needed_for('the page'):
    import anyio
    from fastapi import FastAPI, Query, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from pydantic import BaseModel, Field, StringConstraints
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

MOST_BYTES = 64 * 2**20  # of a file that is sent
_MOST_UPLOADS = 4  # at a time
_UPLOAD_SECONDS = 60.0
_MOST_TEXTS, _MOST_CHARACTERS, _MOST_ROWS, _MOST_RESULTS = 8, 500, 8, 200
_MOST_FOLDERS = 5000

_FILES = {'/': ('page.html', 'text/html; charset=utf-8'), '/page.css': ('page.css', 'text/css'),
          '/page.js': ('page.js', 'text/javascript'), '/icon.svg': ('icon.svg', 'image/svg+xml')}

_Text = Annotated[str, StringConstraints(max_length=_MOST_CHARACTERS)]
_Texts = Annotated[list[_Text], Query(alias='text', max_length=_MOST_TEXTS,
                                      description='what is looked for, all as one')]
_Unwanted = Annotated[list[_Text], Query(alias='not', max_length=_MOST_TEXTS,
                                         description='of which half is taken away')]
_Rows = Annotated[list[int], Query(alias='like', max_length=_MOST_ROWS,
                                   description='rows of moments: what is like them')]
_Weights = Annotated[list[float], Query(
    alias='weight', max_length=_MOST_TEXTS + _MOST_ROWS + 1,
    description='of the texts, the moments and the file, in this order; by default 1 each')]
_Folder = Annotated[str, Query(max_length=4096, description='of the names of videos')]
_PerVideo = Annotated[bool, Query(description='videos instead of moments')]
_TopK = Annotated[int, Query(ge=1, le=_MOST_RESULTS, description='results at most')]
_Name = Annotated[str, Query(max_length=4096, description='of a video, as results give it')]
_At = Annotated[float, Query(ge=0, le=1e7, description='seconds')]


class Error(BaseModel):
    """What is answered instead."""

    error: str = Field(description='one sentence')


class Moment(BaseModel):
    """A result; of whole videos ``start`` and ``end`` are those of its best window."""

    video: str
    start: float | None = Field(description='seconds; null: it has no windows')
    end: float | None
    score: float = Field(description='by which results are ranked')
    cosine: float | None = Field(description='of what is seen; null: found by its words alone')
    said: str | None = Field(description='the nearest of what is said there')
    said_cosine: float | None
    row: int = Field(description='for `like`; -1: none')


class Like(BaseModel):
    """A moment that was given as ``like``."""

    row: int
    video: str
    start: float | None
    end: float | None


class Result(BaseModel):
    """Results, best first."""

    moments: list[Moment]
    like: list[Like]
    query_ms: float = Field(description='milliseconds that the model took, waiting included')
    search_ms: float


class Folder(BaseModel):
    """A folder with videos in it or below."""

    name: str
    videos: int


class Folders(BaseModel):
    """All folders, by name."""

    folders: list[Folder]
    complete: bool = Field(description='false: there are more')


class Info(BaseModel):
    """What there is to find."""

    videos: int
    moments: int
    windows: dict[str, float] | None = Field(description='seconds and stride of each')
    speech: bool = Field(description='whether what is said is searched too')
    examples: bool = Field(description='whether a picture or video can be sent')
    checkpoint: str
    most_bytes: int = Field(description='of a file that is sent')


_FAILURES: dict[int | str, dict[str, Any]] = {
    status: dict(model=Error, description=told) for status, told in {
        404: 'there is no such thing', 422: 'a value is not understood',
        503: 'too much waits: try again'}.items()}


def build_app(library: Library, *, token: str | None = None,
              hosts: Collection[str] | None = None) -> App:
    """Build the application (ASGI).

    Args:
        library: what is shown.
        token, hosts: see :class:`~tvtsv2_mm.apis.page.guard.Guard`.
    """
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        library.start()
        yield
        library.close()

    # The usual pages of documentation load scripts from elsewhere.
    app = FastAPI(title='tvtsv2_mm', description='Moments in videos, by text, picture and video.',
                  docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False)
    _add_errors(app)
    _add_search(app, library)
    _add_videos(app, library)
    folder = Path(__file__).parent
    for path, (name, kind) in _FILES.items():
        app.add_api_route(path, _constant((folder / name).read_bytes(), kind),
                          methods=['GET', 'HEAD'], include_in_schema=False)
    return Guard(app, token=token, hosts=hosts, ask=(folder / 'token.html').read_bytes())


def _constant(content: bytes, kind: str) -> Any:
    async def answer() -> Response:
        return Response(content, media_type=kind, headers={'cache-control': 'no-cache'})

    return answer


def _add_errors(app: FastAPI) -> None:
    """Every error is one sentence as JSON."""
    @app.exception_handler(PageError)
    async def tell(_: Request, error: PageError) -> Response:
        return _told(error.status, error.message, error.headers)

    @app.exception_handler(HTTPException)
    async def tell_of_http(_: Request, error: HTTPException) -> Response:
        return _told(error.status_code, {404: 'there is nothing at this address', 405:
                     'this address does not take this method'}.get(
            error.status_code, str(error.detail)), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def tell_of_values(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = '.'.join(str(part) for part in first['loc'][1:2])
        return _told(422, f'{place}: {first["msg"]}')

    @app.exception_handler(Exception)
    async def tell_of_fault(_: Request, __: Exception) -> Response:
        return _told(500, 'something went wrong here; the log of the server tells more')


def _told(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(dict(error=shortened(message)), status, headers)


def _add_search(app: FastAPI, library: Library) -> None:
    uploads = BoundedSemaphore(_MOST_UPLOADS)

    @app.get('/api/info', response_model=Info)
    async def info() -> Any:
        """What there is to find."""
        return dict(library.info(), most_bytes=MOST_BYTES)

    @app.get('/api/folders', response_model=Folders)
    async def folders() -> Any:
        """Folders of videos, to which a search can be confined."""
        known = library.folders
        return dict(folders=[dict(name=name, videos=count) for name, count in
                             [*known.items()][:_MOST_FOLDERS]],
                    complete=len(known) <= _MOST_FOLDERS)

    @app.get('/api/search', response_model=Result, responses=_FAILURES)
    async def search(texts: _Texts = [], unwanted: _Unwanted = [], rows: _Rows = [],  # noqa: B006
                     weights: _Weights = [], folder: _Folder = '',  # noqa: B006
                     per_video: _PerVideo = False, top_k: _TopK = 20) -> Response:
        """Find what texts say, and what is like moments that were found before."""
        return await answer(texts, unwanted, rows, weights, folder, per_video, top_k)

    @app.post('/api/search', response_model=Result, responses=_FAILURES | {
        408: dict(model=Error, description='the file came too slowly'),
        413: dict(model=Error, description='the file is too large')}, openapi_extra=dict(
            requestBody=dict(required=True, content={'application/octet-stream': dict(
                schema=dict(type='string', format='binary'))})))
    async def search_by_file(
            request: Request, texts: _Texts = [], unwanted: _Unwanted = [],  # noqa: B006
            rows: _Rows = [], weights: _Weights = [], folder: _Folder = '',  # noqa: B006
            per_video: _PerVideo = False, top_k: _TopK = 20) -> Response:
        """Find what is like a picture or video, which is the body of the request as it is."""
        if not uploads.acquire(blocking=False):
            raise BusyError
        try:
            example = await _read_body(request)
            return await answer(texts, unwanted, rows, weights, folder, per_video, top_k, example)
        finally:
            uploads.release()

    async def answer(texts: list[str], unwanted: list[str], rows: list[int],
                     weights: list[float], folder: str, per_video: bool, top_k: int,
                     example: bytes | None = None) -> Response:
        found = await library.find(Wanted(
            texts=[text for text in texts if text.strip()], rows=rows, folder=folder.rstrip('/'),
            unwanted=[text for text in unwanted if text.strip()], example=example,
            weights=weights or None, per_video=per_video, top_k=top_k))
        like = [dict(row=row, video=library.features.videos[row], **_times(library.span_of(row)))
                for row in rows]
        return _as_json(found, like)


def _times(span: tuple[float, float] | None) -> dict[str, float | None]:
    start, end = span or (None, None)
    return dict(start=start, end=end)


def _as_json(found: Found, like: list[dict]) -> Response:
    moments = [dict(
        video=one.moment.video, **_times(one.span), score=one.moment.score,
        cosine=one.moment.cosine, said=one.moment.text, said_cosine=one.moment.text_cosine,
        row=one.row) for one in found.moments]
    content = dict(moments=moments, like=like, query_ms=round(found.query_ms, 3),
                   search_ms=round(found.search_ms, 3))
    return Response(json.dumps(content, ensure_ascii=False).encode(),
                    media_type='application/json', headers={'cache-control': 'no-store'})


async def _read_body(request: Request) -> bytes:
    """The body, counted while it comes."""
    declared = request.headers.get('content-length', '0')
    parts, size = [], 0
    try:
        with anyio.fail_after(_UPLOAD_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > MOST_BYTES or (declared.isdecimal() and len(declared) < 20
                                         and int(declared) > MOST_BYTES):
                    raise PageError(413, f'the file is larger than {MOST_BYTES >> 20} MB')
                parts.append(part)
    except (TimeoutError, ClientDisconnect):
        raise PageError(
            408, f'the file did not come whole within {_UPLOAD_SECONDS:g} s') from None
    if not size:
        raise PageError(422, 'the file is empty')
    return b''.join(parts)


def _add_videos(app: FastAPI, library: Library) -> None:
    @app.get('/api/thumbnail', response_class=Response, responses=_FAILURES | {
        200: dict(content={'image/jpeg': {}}), 304: dict(description='it is as it was'),
        403: dict(model=Error, description='it is not in the folder')})
    async def thumbnail(request: Request, name: _Name, at: _At = 0.0) -> Response:
        """A small picture of a moment."""
        library.check_name(name)
        picture, tag = await library.stills.get(name, at)
        headers = {'etag': tag, 'cache-control': 'private, max-age=600'}
        if request.headers.get('if-none-match') == tag:
            return Response(status_code=304, headers=headers)
        return Response(picture, media_type='image/jpeg', headers=headers)

    @app.head('/api/video', include_in_schema=False)
    @app.get('/api/video', response_class=Response, responses={
        **{key: _FAILURES[key] for key in (404, 422)},
        200: dict(content={'video/*': {}}), 206: dict(description='the part that was asked for'),
        304: dict(description='it is as it was'),
        403: dict(model=Error, description='it is not in the folder'),
        416: dict(model=Error, description='it has no such part')})
    async def video(request: Request, name: _Name) -> Response:
        """A video, or a range of its bytes."""
        library.check_name(name)
        return answer_with_video(request, library.videos, name)
