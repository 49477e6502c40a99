"""Asks an ASGI application in this process, by the very bytes of a target: no client mends them."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

HOST = '127.0.0.1:8000'
BREAKS_OFF = b'the client is gone'  # as a part of a body


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers['content-type'] == 'application/json', self
        return json.loads(self.body)


class Client:
    """Each request is whole when the next one begins.

    With ``lifespan`` the application starts with it, and ends with :meth:`close`.
    """

    def __init__(self, app: Any, lifespan: bool = False) -> None:
        self.app = app
        self.told: list[dict] = []  # what the last request was answered with
        self._loop = asyncio.new_event_loop()
        self._life = self._loop.create_task(self._live()) if lifespan else None
        self._end, self._said = asyncio.Event(), asyncio.Event()
        if lifespan:
            self._loop.run_until_complete(self._said.wait())

    def close(self) -> None:
        if self._life is not None:
            self._end.set()
            self._loop.run_until_complete(self._life)
        self._loop.close()

    async def _live(self) -> None:
        words = iter(('startup', 'shutdown'))

        async def receive() -> dict:
            if (word := next(words)) == 'shutdown':
                await self._end.wait()
            return {'type': f'lifespan.{word}'}

        async def send(message: dict) -> None:
            assert message['type'].endswith('.complete'), message
            self._said.set()

        await self.app({'type': 'lifespan', 'asgi': {'version': '3.0'}}, receive, send)

    def ask(self, target: str, method: str = 'GET', headers: Mapping[str, str] | None = None,
            body: bytes | Iterable[bytes] = b'', timeout: float = 60.0) -> Answer:
        """Ask for a target, such as '/api/search?text=a'."""
        return self._loop.run_until_complete(asyncio.wait_for(
            self.answer(target, method, headers, body), timeout))

    def ask_all(self, *targets: str) -> list[Answer]:
        """Ask for several at a time."""
        async def gather() -> list[Answer]:
            return await asyncio.gather(*(self.answer(target) for target in targets))

        return self._loop.run_until_complete(gather())

    async def answer(self, target: str, method: str = 'GET',
                     headers: Mapping[str, str] | None = None,
                     body: bytes | Iterable[bytes] = b'') -> Answer:
        path, _, query = target.partition('?')
        scope = {
            'type': 'http', 'asgi': {'version': '3.0', 'spec_version': '2.4'},
            'http_version': '1.1', 'method': method, 'scheme': 'http', 'root_path': '',
            'path': unquote(path), 'raw_path': path.encode('utf-8', 'surrogatepass'),
            'query_string': query.encode('utf-8', 'surrogatepass'),
            'headers': [(name.lower().encode('latin-1'), value.encode('latin-1'))
                        for name, value in {'host': HOST, **(headers or {})}.items()],
            'server': ('127.0.0.1', 8000), 'client': ('127.0.0.1', 50000)}
        blocks = iter([body] if isinstance(body, bytes) else body)
        told = self.told = []

        ended = []

        async def receive() -> dict:
            if ended:
                await asyncio.Event().wait()  # the client stays
            block = next(blocks, None)
            if block is BREAKS_OFF:
                return {'type': 'http.disconnect'}
            ended.extend([True] * (block is None))
            return {'type': 'http.request', 'body': block or b'', 'more_body': block is not None}

        async def send(message: dict) -> None:
            told.append(message)

        await self.app(scope, receive, send)
        start, *rest = told
        assert start['type'] == 'http.response.start' and not rest[-1].get('more_body'), told
        return Answer(start['status'], {
            name.decode('latin-1'): value.decode('latin-1') for name, value in start['headers']},
            b''.join(message.get('body', b'') for message in rest))
