import pytest

from tests.asgi_client import Client
from tvtsv2_mm.apis.page.app import build_app

TOKEN = 'a-token_123'
COOKIE = {'cookie': f'tvtsv2_mm_8000={TOKEN}'}
PATHS = ('/', '/api/info', '/api/folders', '/api/search?text=a', '/api/thumbnail?name=a/one.mp4',
         '/api/video?name=a/one.mp4', '/openapi.json', '/page.js', '/nothing')


@pytest.fixture(scope='module')
def guarded(library):
    client = Client(build_app(library, token=TOKEN))
    yield client
    client.close()


def test_nothing_without_the_token(guarded):
    for path in PATHS:
        for headers in ({}, {'authorization': 'Bearer wrong'}, {'authorization': TOKEN},
                        {'authorization': f'Basic {TOKEN}'}, {'cookie': 'tvtsv2_mm_8000='},
                        {'cookie': f'other={TOKEN}'}, {'cookie': f'tvtsv2_mm_80={TOKEN}'},
                        {'authorization': 'Bearer é'}, {'cookie': 'a=b;;;=;\x7f[]'}):
            answer = guarded.ask(path, headers=headers)
            assert answer.status == 401 and answer.headers['www-authenticate'] == 'Bearer'
            assert b'a/one.mp4' not in answer.body and TOKEN.encode() not in answer.body
    answer = guarded.ask('/api/search?text=a', 'POST', body=b'x' * 100)
    assert answer.status == 401
    assert b'name="token"' in guarded.ask('/').body  # a form that asks for it
    assert guarded.ask('/page.css').status == 200


def test_with_the_token(guarded):
    for headers in (COOKIE, {'authorization': f'Bearer {TOKEN}'}):
        for path in PATHS[:-1]:
            assert guarded.ask(path, headers=headers).status == 200
        assert guarded.ask(PATHS[-1], headers=headers).status == 404


def test_the_address_with_the_token_sets_a_cookie_and_leaves_it(guarded):
    answer = guarded.ask(f'/?q=a%20dog&token={TOKEN}&like=1')
    assert answer.status == 303 and answer.headers['location'] == '/?q=a+dog&like=1'
    cookie = answer.headers['set-cookie']
    assert cookie.startswith(f'tvtsv2_mm_8000={TOKEN};')
    assert 'HttpOnly' in cookie and 'SameSite=Lax' in cookie
    assert guarded.ask(f'/?token={TOKEN}').headers['location'] == '/'
    wrong = guarded.ask('/?token=wrong')
    assert wrong.status == 401 and 'set-cookie' not in wrong.headers
    assert guarded.ask(f'/api/info?token={TOKEN}').status == 401  # no addresses that carry it
    inside = guarded.ask(f'/?token={TOKEN}&q=%0d%0aset-cookie:x')
    assert '\n' not in inside.headers['location']


def test_the_token_is_compared_in_constant_time(guarded, monkeypatch):
    compared = []
    monkeypatch.setattr('hmac.compare_digest', lambda *both: compared.append(both) or False)
    assert guarded.ask('/api/info', headers=COOKIE).status == 401
    assert (TOKEN.encode(), TOKEN.encode()) in compared


@pytest.mark.parametrize('host', [
    '127.0.0.1', 'localhost:8000', 'LOCALHOST:1', '[::1]:8000', '[::1]'])
def test_own_names(client, host):
    assert client.ask('/api/info', headers={'host': host}).status == 200


@pytest.mark.parametrize('host', [
    'evil.example', 'evil.example:8000', '', '127.0.0.1.evil.example', 'localhost.evil.example:80',
    '192.168.0.2:8000', '[::2]:8000', 'evil@localhost', ':8000', '[', ']', 'localhost:80:80'])
def test_names_that_were_led_here(client, host):
    answer = client.ask('/api/info', headers={'host': host})
    assert answer.status == 421 and answer.json['error'].startswith('this server is not asked')


def test_other_sites(client):
    own = {'origin': 'http://127.0.0.1:8000', 'sec-fetch-site': 'same-origin'}
    for path, method in (('/api/info', 'GET'), ('/api/search', 'POST'), ('/page.js', 'GET'),
                         ('/api/video?name=a/one.mp4', 'GET')):
        assert client.ask(path, method, own).status != 403
        for headers in ({'origin': 'http://evil.example'}, {'origin': 'null'}, {'origin': ''},
                        {'origin': 'http://127.0.0.1:9999'}, {'sec-fetch-site': 'cross-site'},
                        {'sec-fetch-site': 'same-site'},
                        {'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate'}):
            assert client.ask(path, method, headers).status == 403
    # A link to the page is followed; nothing else is.
    link = {'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate'}
    assert client.ask('/?q=a', headers=link).status == 200
    assert client.ask('/', 'POST', link).status == 403
    assert client.ask('/', headers={'sec-fetch-site': 'cross-site'}).status == 403


def test_what_every_answer_forbids(client, guarded):
    for answer in (client.ask('/'), client.ask('/nothing'), client.ask('/api/video?name=a/one.mp4'),
                   client.ask('/api/info', headers={'host': 'x'}), guarded.ask('/'),
                   client.ask('/api/search?text=a&top_k=0')):
        rules = answer.headers['content-security-policy']
        assert "default-src 'none'" in rules and 'unsafe' not in rules and '*' not in rules
        assert answer.headers['x-content-type-options'] == 'nosniff'
        assert answer.headers['referrer-policy'] == 'no-referrer'
        assert not any(name.startswith('access-control') for name in answer.headers)
    page = client.ask('/').body.decode()
    assert '<style' not in page and ' style=' not in page and ' onclick' not in page
    assert '<script src="/page.js" type="module"></script>' in page and page.count('<script') == 1
