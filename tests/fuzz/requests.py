"""Target: requests to the page, which answers each in one sentence and shows no other file."""

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.asgi_client import Answer, Client
from tests.fuzz.cases import Seed, Target
from tests.grey_videos import write_grey_video
from tvtsv2_mm.apis.features import FeatureSet
from tvtsv2_mm.apis.page import library as library_module
from tvtsv2_mm.apis.page.app import Error, Result, build_app
from tvtsv2_mm.apis.page.files import VideoFolder
from tvtsv2_mm.apis.page.library import Library
from tvtsv2_mm.apis.search import Searcher
from tvtsv2_mm.video.isolated_reader import DecodingProcess

_SECRET = b'this is not to be seen'
_TOKEN = 'token-of-the-page'
_NAMES = ('a/one.mp4', 'a/b/two & three.mp4', 'link.mp4', '../secret.mp4')
# What a request may be answered with.
_STATUSES = {200, 206, 303, 304, 401, 403, 404, 405, 413, 416, 421, 422}
_TARGETS = (
    '/api/search?text=a%20dog&not=a+cat&weight=1.5&folder=a&per_video=true&top_k=3',
    '/api/search?text=a&text=b&like=1&weight=1&weight=-2&weight=0.5', '/api/search?like=0&like=3',
    '/api/thumbnail?name=a/one.mp4&at=1.25', '/api/video?name=a/b/two%20%26%20three.mp4',
    '/api/video?name=link.mp4', '/api/video?name=../secret.mp4', '/api/info', '/api/folders', '/',
    '/page.js', '/openapi.json', f'/?token={_TOKEN}&q=a', '/api/../../secret.mp4',
    '/%2e%2e%2fsecret.mp4')
_HEADERS: dict[str, str] = {
    'host': '127.0.0.1:8000', 'authorization': f'Bearer {_TOKEN}', 'range': 'bytes=4-40',
    'if-range': '"1-2-3"', 'if-none-match': '"1-2-3"', 'content-length': '40',
    'origin': 'http://127.0.0.1:8000', 'sec-fetch-site': 'same-origin',
    'cookie': f'tvtsv2_mm_8000={_TOKEN}; other="x"', 'content-type': 'application/octet-stream'}


class _Decoders:
    """In a fork of this process: what a case may take is watched there too."""

    def __init__(self, _: int) -> None:
        self._process = DecodingProcess()

    def opened(self, path: str, **options: Any) -> Any:
        return _Opened(self._process, path, options)

    def start(self) -> None:
        """Started when it is needed."""

    def close(self) -> None:
        self._process.kill()


class _Opened:

    def __init__(self, process: DecodingProcess, path: str, options: dict) -> None:
        self._open = partial(process.open, path, **options)

    def __enter__(self) -> Any:
        self._reader = self._open()
        return self._reader

    def __exit__(self, *_: object) -> None:
        self._reader.close()


class _Model:
    """In the place of a model: what it makes of a clip is not what is looked at."""

    texts_only = False
    num_frames = 2
    pipeline = [dict(type='OpenVideo', short_side=16)]

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        return np.stack([_unit(len(text)) for text in texts])

    def embed_videos(self, videos: list) -> np.ndarray:
        return np.stack([_unit(np.asarray(
            video.get_frames([0]) if hasattr(video, 'get_frames') else video).size)
            for video in videos])


def _unit(number: int) -> np.ndarray:
    vector = np.cos(np.arange(1, 5, dtype=np.float32) * (1 + number % 97))
    return vector / np.linalg.norm(vector)


@cache
def _client(root: Path) -> Client:
    """The page of a folder that is beside those of the cases."""
    videos = root / 'videos'
    features = FeatureSet(
        videos=[name for name in _NAMES for _ in range(2)], failed=[], meta=dict(checkpoint='x'),
        features=np.stack([_unit(row) for row in range(8)]), keys=np.arange(8),
        spans=np.array([[0.0, 1.0], [2.0, 3.0]] * 4))
    library_module.DecodingPool = _Decoders  # type: ignore[misc, assignment]
    model: Any = _Model()
    return Client(build_app(Library(Searcher(features), model, VideoFolder(videos)), token=_TOKEN,
                            hosts={'127.0.0.1'}))


def _seeds(folder: Path) -> list[Seed]:
    root = folder.parent / 'page'
    for name in _NAMES[:2]:
        path = root / 'videos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_grey_video(path, num_frames=6, fps=2, size=(16, 16), codec='mpeg4')
    (root / 'secret.mp4').write_bytes(_SECRET)
    (root / 'videos/link.mp4').symlink_to('../secret.mp4')
    video = (root / 'videos' / _NAMES[0]).read_bytes()
    seeds = []
    for target in _TARGETS:
        seeds.append(Seed({'target': target.encode(), 'headers': json.dumps(
            {'method': 'GET', **_HEADERS}).encode()},
            refused='secret' in target or 'link' in target))
    for body in (video, b'\x89PNG\r\n\x1a\n' + bytes(40), b'no video'):
        headers = dict(_HEADERS, method='POST')
        for name in ('content-length', 'range', 'if-none-match', 'if-range'):
            del headers[name]
        seeds.append(Seed({'target': b'/api/search?text=a&top_k=3', 'body': body,
                           'headers': json.dumps(headers).encode()}, refused=body is not video))
    return seeds


def _ask(work: Path) -> None:
    """Ask, and look at the answer; a refusal is an error here, as of a parser."""
    root = work.parent / 'page'
    asked = _headers_of((work / 'headers').read_bytes() if (work / 'headers').exists() else b'')
    method = asked.pop('method', 'GET')[:20]
    target = (work / 'target').read_bytes() if (work / 'target').exists() else b'/'
    body = (work / 'body').read_bytes() if (work / 'body').exists() else b''
    answer = _client(root).ask('/' + target.decode('latin-1').lstrip('/'), method, asked, body)
    check(answer)
    if answer.status >= 400:
        raise ValueError(f'target: {answer.status} {answer.body[:200]!r}')


def _headers_of(content: bytes) -> dict[str, str]:
    """What of a changed JSON text can be a header at all: a server of HTTP lets no other in."""
    try:
        values = json.loads(content)
        items = values.items()
    except (ValueError, AttributeError, RecursionError):
        return dict(_HEADERS)
    found = {str(name)[:200]: str(value)[:8000] for name, value in items}
    keep: Callable[[str], str] = lambda text: ''.join(  # noqa: E731
        char for char in text if ' ' <= char <= '\xff' and char != '\x7f')
    return {keep(name): keep(value) for name, value in found.items()}


def check(answer: Answer) -> None:
    """What holds of every answer."""
    assert answer.status in _STATUSES, answer
    assert _SECRET not in answer.body, answer
    assert answer.headers['x-content-type-options'] == 'nosniff'
    assert not {char for value in answer.headers.values() for char in value} & {'\r', '\n', '\0'}
    kind = answer.headers.get('content-type', '')
    if answer.status >= 400 and answer.body:
        if kind.startswith('text/html'):
            assert answer.status == 401
        else:
            told = Error.model_validate(answer.json)
            assert 0 < len(told.error) < 3000 and 'Traceback' not in told.error, told
            assert '/page/videos' not in told.error and '/tmp' not in told.error, told
    elif kind == 'application/json' and answer.body.startswith(b'{"moments": ['):
        Result.model_validate(answer.json)


TARGETS = [Target('requests', _seeds, _ask, (ValueError, ), deadline=20)]
