"""Who may ask: the right host, the same site, the token; and what every answer forbids browsers."""

import hmac
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = {
    'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()'}
_OPEN = ('/page.css', '/icon.svg')  # what the page that asks for the token needs
_YEAR_S = 365 * 86400


class Guard:
    """Stands before an application and answers what may not reach it.

    Args:
        app: the application.
        token: what whoever asks has to know, as ``Authorization: Bearer`` or by a cookie, which
            ``/?token=`` sets; None: nothing.
        hosts: names under which the server is asked for (``Host``, without the port), which keeps
            out pages of others whose name was led to this machine; None: any, where a token is
            needed.
        ask: the page that asks for the token.
    """

    def __init__(self, app: App, *, token: str | None, hosts: Collection[str] | None,
                 ask: bytes = b'') -> None:
        self._app, self._token, self._hosts, self._ask = app, token, hosts, ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if scope['type'] == 'lifespan':
            await self._app(scope, receive, send)
            return
        if scope['type'] != 'http':  # a web socket: there are none
            await send({'type': 'websocket.close', 'code': 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [*message.get('headers', ()), *(
                    (name.encode(), value.encode()) for name, value in _HEADERS.items())]
            await send(message)

        headers = {name.decode('latin-1').lower(): value.decode('latin-1')
                   for name, value in scope['headers']}
        refused = self._refusal(scope, headers)
        if refused is None:
            await self._app(scope, receive, send_guarded)
        else:
            status, more, body = refused
            await send_guarded({'type': 'http.response.start', 'status': status, 'headers': [
                (b'content-length', b'%d' % len(body)), (b'cache-control', b'no-store'), *more]})
            await send_guarded({'type': 'http.response.body',
                                'body': b'' if scope['method'] == 'HEAD' else body})

    def _refusal(self, scope: Scope, headers: dict[str, str]
                 ) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
        """Status, headers and body of what is not let through; None: all is well."""
        host = headers.get('host', '')
        if self._hosts is not None and _name_of(host) not in self._hosts:
            return _error(421, 'this server is not asked for by this name')
        if _is_cross_site(scope, headers, host):
            return _error(403, 'pages of other sites may not ask this server')
        if self._token is None or scope['path'] in _OPEN:
            return None
        cookie = self._cookie(scope)
        if scope['path'] == '/' and scope['method'] == 'GET':
            query = parse_qsl(scope['query_string'].decode('latin-1'), keep_blank_values=True)
            given = next((value for name, value in query if name == 'token'), None)
            if given is not None and self._is_right(given):
                rest = urlencode([(name, value) for name, value in query if name != 'token'])
                return 303, [
                    (b'location', f'/?{rest}'.rstrip('?').encode('latin-1')),
                    (b'set-cookie', f'{cookie}={self._token}; Path=/; HttpOnly; SameSite=Lax; '
                     f'Max-Age={_YEAR_S}'.encode())], b''
        if self._is_right(_bearer(headers)) or self._is_right(_cookies(headers).get(cookie)):
            return None
        if scope['path'] == '/':
            return 401, [(b'content-type', b'text/html; charset=utf-8'), *_CHALLENGE], self._ask
        return _error(401, 'a token is needed: open the address that the server printed')

    def _is_right(self, given: str | None) -> bool:
        return given is not None and self._token is not None and hmac.compare_digest(
            given.encode('utf-8', 'replace'), self._token.encode())

    @staticmethod
    def _cookie(scope: Scope) -> str:
        """The name of the cookie: browsers give those of one port to all others, too."""
        return f'tvtsv2_mm_{(scope.get("server") or ("", 0))[1]}'


_CHALLENGE = [(b'www-authenticate', b'Bearer')]


def _error(status: int, message: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    more = _CHALLENGE if status == 401 else []
    return (status, [(b'content-type', b'application/json'), *more],
            json.dumps(dict(error=message)).encode())


def _name_of(host: str) -> str:
    """A host without its port."""
    if host.startswith('['):
        return host[1:].partition(']')[0].lower()
    return host.rpartition(':')[0].lower() if ':' in host else host.lower()


def _is_cross_site(scope: Scope, headers: dict[str, str], host: str) -> bool:
    """Whether a page of another site asks; a person who follows a link to the page may."""
    site = headers.get('sec-fetch-site', 'none')
    if site not in ('none', 'same-origin') and not (
            scope['path'] == '/' and scope['method'] in ('GET', 'HEAD')
            and headers.get('sec-fetch-mode') == 'navigate'):
        return True
    origin = headers.get('origin')
    return origin is not None and origin.partition('://')[2] != host


def _bearer(headers: dict[str, str]) -> str | None:
    kind, _, given = headers.get('authorization', '').partition(' ')
    return given.strip() if kind.lower() == 'bearer' else None


def _cookies(headers: dict[str, str]) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(
            headers.get('cookie', '')).items()}
    except CookieError:
        return {}
