import os
from pathlib import Path

import pytest

from tests.asgi_client import Client
from tvtsv2_mm.apis.page.app import build_app

NAME = 'a/b/two%20%26%20three.mp4'


@pytest.fixture(scope='module')
def content(extracted):
    return (extracted / 'corpus/a/b/two & three.mp4').read_bytes()


def test_whole_and_in_parts(client, content):
    address, size = f'/api/video?name={NAME}', len(content)
    whole = client.ask(address)
    assert (whole.status, whole.body) == (200, content)
    assert whole.headers['content-type'] == 'video/mp4'
    assert whole.headers['accept-ranges'] == 'bytes'
    assert "filename*=UTF-8''two%20%26%20three.mp4" in whole.headers['content-disposition']
    tag = whole.headers['etag']
    for wanted, start, stop in (
            ('0-0', 0, 1), ('100-199', 100, 200), (f'{size - 5}-', size - 5, size),
            ('-7', size - 7, size), (f'0-{9 * size}', 0, size)):
        part = client.ask(address, headers={'range': f'bytes={wanted}'})
        assert (part.status, part.body) == (206, content[start:stop])
        assert part.headers['content-range'] == f'bytes {start}-{stop - 1}/{size}'
        assert part.headers['content-length'] == str(stop - start)
    beyond = client.ask(address, headers={'range': f'bytes={size}-'})
    assert beyond.status == 416 and beyond.headers['content-range'] == f'bytes */{size}'
    assert beyond.json == dict(error='the video has no such part')
    for condition, status in ((tag, 206), ('"another"', 200)):
        assert client.ask(address, headers={
            'range': 'bytes=0-1', 'if-range': condition}).status == status
    same = client.ask(address, headers={'if-none-match': tag})
    assert (same.status, same.body) == (304, b'')
    for headers, status, length in (({}, 200, size), ({'range': 'bytes=1-4'}, 206, 4)):
        head = client.ask(address, 'HEAD', headers)
        assert (head.status, head.body, head.headers['content-length']) == (
            status, b'', str(length))


@pytest.mark.parametrize('name', [
    '../secret.mp4', '..%2fsecret.mp4', '%2e%2e%2fsecret.mp4', '%252e%252e%252fsecret.mp4',
    'a/../../secret.mp4', 'a/b/..%5c..%5c..%5csecret.mp4', '%2fetc%2fpasswd', '/etc/passwd',
    'a/one.mp4%00', '%00', 'a/one.mp4%00.mp4', 'a//one.mp4', './a/one.mp4', 'a/b/../one.mp4',
    'A/ONE.MP4', 'a/one.vtt', '', '.', '..', 'file:///etc/passwd', '~/x', '%ff', '%c0%ae%c0%ae/x',
    '....//secret.mp4', 'features/meta.json', '%ed%b2%80', 5000 * 'a'])
@pytest.mark.parametrize('route', ['video', 'thumbnail'])
def test_names_that_are_not_among_the_features(client, route, name):
    """Among them names that would lead to a file that is there, inside or outside."""
    for method in ('GET', 'HEAD') if route == 'video' else ('GET', ):
        answer = client.ask(f'/api/{route}?name={name}', method, {'range': 'bytes=0-3'})
        assert answer.status in (404, 422) and b'secret' not in answer.body.replace(
            name.encode(), b'')
    for address in (f'/api/{route}/{name}', f'/{name}', f'/page.css/{name}', f'/static/{name}'):
        answer = client.ask(address)
        if address not in ('/', '/.'):
            assert answer.status == 404, address


def test_links_that_lead_out_of_the_folder(client, extracted):
    """Of a name that is among the features."""
    path, secret = extracted / 'corpus/top.avi', extracted / 'secret.mp4'
    kept = path.with_name('kept')
    path.rename(kept)
    try:
        for target, status in ((secret, 403), ('/etc/passwd', 403), ('..', 404), ('kept', 200),
                               ('/proc/self/environ', 403), ('top.avi', 404)):
            path.symlink_to(target)
            for headers in ({}, {'range': 'bytes=0-3'}):
                answer = client.ask('/api/video?name=top.avi', headers=headers)
                assert answer.status == (206 if status == 200 and headers else status)
                assert status == 200 or answer.json['error'].startswith('the video ')
            assert client.ask('/api/thumbnail?name=top.avi').status == status
            path.unlink()
        os.link(kept, path)
        assert client.ask('/api/video?name=top.avi').status == 200
        path.unlink()
    finally:
        kept.rename(path)


def test_a_folder_above_that_becomes_a_link(client, extracted):
    folder = extracted / 'corpus/a'
    folder.rename(extracted / 'moved')
    try:
        folder.symlink_to(extracted / 'moved')
        assert client.ask('/api/video?name=a/one.mp4').status == 403
    finally:
        folder.unlink()
        (extracted / 'moved').rename(folder)


def test_no_file_stays_open(client, content):
    before = len(os.listdir('/proc/self/fd'))
    for headers in ({}, {'range': 'bytes=0-1'}, {'range': f'bytes={len(content)}-'},
                    {'if-none-match': client.ask(f'/api/video?name={NAME}').headers['etag']}):
        for method in ('GET', 'HEAD'):
            client.ask(f'/api/video?name={NAME}', method, headers)
    assert len(os.listdir('/proc/self/fd')) == before


def test_a_video_that_becomes_shorter_ends(library, extracted, monkeypatch):
    """What was promised does not come, and nothing else does in its place."""
    path = extracted / 'corpus/top.avi'
    whole = path.read_bytes()
    app = Client(build_app(library))
    pread = os.pread

    def cut(number, length, start):
        block = pread(number, min(length, 100), start)
        os.truncate(path, 150)
        return block

    monkeypatch.setattr(os, 'pread', cut)
    try:
        answer = app.ask('/api/video?name=top.avi')
        assert answer.body == whole[:150] and answer.headers['content-length'] == str(len(whole))
    finally:
        path.write_bytes(whole)
    assert Path(path).stat().st_size == len(whole)
