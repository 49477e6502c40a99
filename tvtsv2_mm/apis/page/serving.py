"""Start the page: what belongs together is opened, and asked for at an address."""

import contextlib
import os
import re
import secrets
import socket
from ipaddress import ip_address

from tvtsv2_mm.apis.features.shards import check_finished
from tvtsv2_mm.apis.features.source import find_source
from tvtsv2_mm.apis.page.app import build_app
from tvtsv2_mm.apis.page.files import VideoFolder
from tvtsv2_mm.apis.page.library import Library
from tvtsv2_mm.apis.search import open_search
from tvtsv2_mm.utils.extras import needed_for

with needed_for('the page'):
    import uvicorn

_LOOPBACK = ('localhost', '127.0.0.1', '::1')
_TOKEN = re.compile('[A-Za-z0-9_-]{8,200}')  # what an address and a cookie can carry
_MOST_CONNECTIONS = 200


def open_library(folder: str | os.PathLike, checkpoint: str, *, videos: str | None = None,
                 config: str | None = None, device: str | None = None, dtype: str = 'float32',
                 texts_only: bool = False) -> Library:
    """Load what is shown.

    Args:
        folder: of the features.
        checkpoint: that they were made with.
        videos: the folder that their names are relative to; None: where they lay then.
        config, device, dtype: of the model.
        texts_only: build the text encoder alone, and take no pictures and videos as queries.

    Raises:
        FileNotFoundError: there are no features, no checkpoint or no videos.
        ValueError: they do not belong together.
    """
    check_finished(folder)
    root = find_source(folder, videos)
    searcher, inferencer = open_search(folder, checkpoint, config=config, device=device,
                                       dtype=dtype, texts_only=texts_only)
    return Library(searcher, inferencer, VideoFolder(root))


class PageServer:
    """The page at an address.

    Args:
        library: what is shown.
        host: name or number of the address; on others than this machine's own a token is needed.
        port: 0 takes one that is free.
        token: what whoever asks has to know; None: nothing on this machine, else one that is drawn.

    Attributes:
        address: to open in a browser, with the token.

    Raises:
        ValueError: the token is none, or the address cannot be taken.
    """

    def __init__(self, library: Library, *, host: str = '127.0.0.1', port: int = 8000,
                 token: str | None = None) -> None:
        if token is not None and not _TOKEN.fullmatch(token):
            raise ValueError('a token is 8 to 200 letters, digits, - and _')
        is_own = _is_loopback(host)
        if token is None and not is_own:
            token = secrets.token_urlsafe(24)
        self._socket = _listen(host, port)
        port = self._socket.getsockname()[1]
        app = build_app(library, token=token,
                        hosts={*_LOOPBACK, host.lower()} if is_own else None)
        self._server = uvicorn.Server(uvicorn.Config(
            app, log_level='warning', access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS, timeout_keep_alive=10,
            timeout_graceful_shutdown=3))
        shown = socket.gethostname() if host in ('0.0.0.0', '::') else host
        shown = f'[{shown}]' if ':' in shown else shown
        self.address = f'http://{shown}:{port}/' + (f'?token={token}' if token else '')

    def run(self) -> None:
        """Answer until Ctrl-C or SIGTERM."""
        with contextlib.suppress(KeyboardInterrupt), self._socket:
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Have :meth:`run` end, from another thread."""
        self._server.should_exit = True


def _is_loopback(host: str) -> bool:
    if host.lower() == 'localhost':
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=256)
        # asyncio does so for sockets of its own alone; else each answer waits 40 ms for the client.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        raise ValueError(f'the address {host}:{port} cannot be taken ('
                         f'{getattr(error, "strerror", None) or error}): choose another --port or '
                         '--host') from None
