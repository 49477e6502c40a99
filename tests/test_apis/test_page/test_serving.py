import json
import re
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tvtsv2_mm.apis.page.serving import PageServer, open_library


@contextmanager
def running(library, **options):
    """A server at an address, in a thread; it closes the library."""
    server = PageServer(library, port=0, **options)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server.address
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


def ask(address, **headers):
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def own(extracted):
    return open_library(extracted / 'features', str(extracted / 'tiny.pth'), device='cpu')


def test_a_folder_without_features_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'has no index.jsonl: .*no folder of features'):
        open_library(tmp_path, 'tiny.pth')


def test_over_http(own):
    with running(own) as address:
        assert re.fullmatch(r'http://127\.0\.0\.1:\d+/', address)
        status, found = ask(f'{address}api/search?text=a%20dog')
        assert status == 200 and len(json.loads(found)['moments']) == 3
        assert ask(address, Host='evil.example')[0] == 421
        status, part = ask(f'{address}api/video?name=a/one.mp4', Range='bytes=4-7')
        assert (status, part) == (206, b'ftyp')
        # What a client of HTTP would mend on its way.
        for target in ('/../secret.mp4', '/page.js/../../secret.mp4', '//etc/passwd', '/%2e%2e/x',
                       'http://127.0.0.1/../secret.mp4', '*', '/\\..\\secret.mp4', '/%00', '/%'):
            with socket.create_connection(('127.0.0.1', int(address[17:-1])), timeout=10) as plain:
                plain.sendall(f'GET {target} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n'.encode())
                answer = b''
                while block := plain.recv(65536):
                    answer += block
            assert answer.split()[1] in (b'404', b'400'), (target, answer)
            assert b'root:' not in answer
        name = socket.create_server(('127.0.0.1', 0))
        with name, pytest.raises(ValueError, match=r'cannot be taken .*: choose another --port'):
            PageServer(own, port=name.getsockname()[1])


def test_answers_do_not_wait_for_the_client(library):
    server = PageServer(library, port=0)
    host, port = server._socket.getsockname()
    with server._socket, socket.create_connection((host, port)):
        accepted, _ = server._socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_token_is_drawn_for_other_machines(own):
    with running(own, host='0.0.0.0') as address:
        found = re.fullmatch(r'http://[^/]+:(\d+)/\?token=([\w-]{20,})', address)
        here = f'http://127.0.0.1:{found[1]}/'
        assert ask(f'{here}api/info')[0] == 401
        assert ask(f'{here}api/info', Authorization=f'Bearer {found[2]}')[0] == 200
        assert ask(f'{here}?token={found[2]}x')[0] == 401


@pytest.mark.parametrize('token', ['', 'short', 'with blank', 'a;b=c;d=e', 'x' * 201])
def test_tokens_that_an_address_cannot_carry(library, token):
    with pytest.raises(ValueError, match='a token is 8 to 200 letters'):
        PageServer(library, port=0, token=token)


def test_a_server_of_texts_alone(extracted):
    library = open_library(extracted / 'features', str(extracted / 'tiny.pth'), device='cpu',
                           texts_only=True, videos=str(extracted / 'corpus'))
    with running(library) as address:
        assert json.loads(ask(f'{address}api/info')[1])['examples'] is False
        request = urllib.request.Request(f'{address}api/search', data=b'x', method='POST')
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=30)
        assert error.value.code == 404 and b'without search by pictures' in error.value.read()
