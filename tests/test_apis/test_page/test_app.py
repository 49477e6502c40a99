import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.asgi_client import BREAKS_OFF
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.page import app as app_module
from tvtsv2_mm.apis.page.app import Error, Folders, Info, Result

NAMES = ['a/b/two & three.mp4', 'a/one.mp4', 'top.avi']


@pytest.fixture(scope='module')
def infer(extracted):
    return TVTSv2Inferencer(weights=str(extracted / 'tiny.pth'), device='cpu', show_progress=False)


def png(size=(40, 30)):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)).save(
        file, 'PNG')
    return file.getvalue()


def test_what_there_is(client):
    info = Info.model_validate(client.ask('/api/info').json)
    assert (info.videos, info.moments, info.speech, info.examples) == (3, 6, True, True)
    assert info.windows == dict(seconds=2.0, stride=1.0) and info.checkpoint == 'tiny.pth'
    folders = Folders.model_validate(client.ask('/api/folders').json)
    assert [(folder.name, folder.videos) for folder in folders.folders] == [('a', 2), ('a/b', 1)]


def test_texts_find_what_the_searcher_finds(client, library, infer):
    found = client.ask('/api/search?text=a%20dog&top_k=2')
    result = Result.model_validate(found.json)
    [query] = infer.embed_texts(['a dog'])
    expected = library.searcher.search(query, 2)
    assert [(one.video, (one.start, one.end), one.said) for one in result.moments] == [
        (moment.video, moment.span, moment.text) for moment in expected]
    assert [moment.score for moment in result.moments] == pytest.approx(
        [moment.score for moment in expected])
    assert found.headers['cache-control'] == 'no-store'

    first, second, less = infer.embed_texts(['a', 'b', 'c'])
    query = 2 * first - second - 0.5 * less
    expected = library.searcher.search(query / np.linalg.norm(query), 20)
    result = Result.model_validate(client.ask(
        '/api/search?text=a&text=b&not=c&weight=2&weight=-1').json)
    assert [moment.score for moment in result.moments] == pytest.approx(
        [moment.score for moment in expected])


def test_videos_and_folders(client):
    result = Result.model_validate(client.ask('/api/search?text=a&per_video=true').json)
    assert sorted(moment.video for moment in result.moments) == NAMES
    assert all(moment.end - moment.start <= 2 for moment in result.moments)  # the best window
    for folder, names in (('a', NAMES[:2]), ('a/b', NAMES[:1]), ('a/b/', NAMES[:1])):
        found = client.ask(f'/api/search?text=a&per_video=1&folder={folder}').json['moments']
        assert sorted(moment['video'] for moment in found) == names
    assert client.ask('/api/search?text=a&folder=b').status == 404


def test_more_like_this_leaves_itself_out(client, library):
    row = library.rows['top.avi'][0]
    result = Result.model_validate(client.ask(f'/api/search?like={row}').json)
    assert [(like.row, like.video, like.start) for like in result.like] == [(row, 'top.avi', 0.0)]
    assert {moment.video for moment in result.moments} == set(NAMES) - {'top.avi'}
    assert client.ask('/api/search?like=6').json == dict(
        error='there is no such moment: the features may have changed')
    assert client.ask('/api/search?like=-1').status == 404
    # What was found by its words alone is like the window in which they are said.
    found = client.ask('/api/search?text=a%20cat').json['moments']
    assert all(0 <= moment['row'] < 6 for moment in found)


def test_a_picture_or_a_clip_as_the_query(client, extracted, infer, library):
    clip = (extracted / 'corpus' / NAMES[1]).read_bytes()
    for content, embed in ((clip, infer.embed_videos([clip])[0]),
                           (png(), infer.embed_videos([np.stack([np.array(Image.open(
                               io.BytesIO(png())))] * 8)])[0])):
        result = Result.model_validate(client.ask('/api/search', 'POST', body=content).json)
        expected = library.searcher.search(embed, 20)
        assert [moment.cosine for moment in result.moments] == [
            None if moment.cosine is None else pytest.approx(moment.cosine, abs=1e-5)
            for moment in expected]
    both = client.ask('/api/search?text=a&weight=0&weight=1', 'POST', body=png()).json['moments']
    assert [moment['cosine'] for moment in both] == [
        None if moment.cosine is None else pytest.approx(moment.cosine, abs=1e-5)
        for moment in result.moments]


@pytest.mark.parametrize(('content', 'message'), [
    (b'', 'the file is empty'), (b'no video', 'no picture or video that can be read'),
    (png()[:200], 'the picture is damaged'), (b'<svg/>', 'no picture or video')])
def test_files_that_cannot_be_read(client, content, message):
    answer = client.ask('/api/search', 'POST', body=content)
    assert answer.status == 422 and message in answer.json['error']
    assert '/' not in answer.json['error'].replace('x/', '')  # nothing of where it lies


def test_a_file_is_counted_while_it_comes(client, monkeypatch):
    monkeypatch.setattr(app_module, 'MOST_BYTES', 1000)
    taken = []

    def blocks():
        for number in range(100):
            taken.append(number)
            yield b'x' * 100

    answer = client.ask('/api/search', 'POST', body=blocks())
    assert answer.status == 413 and len(taken) <= 12
    answer = client.ask('/api/search', 'POST', {'content-length': '1001'}, body=b'x')
    assert answer.status == 413
    monkeypatch.setattr(app_module, '_UPLOAD_SECONDS', 0.0)
    answer = client.ask('/api/search', 'POST', body=[b'x'] * 5)
    assert answer.status in (408, 422)


def test_an_upload_that_breaks_off_is_no_fault_of_ours(client, caplog):
    answer = client.ask('/api/search', 'POST', {'content-length': '100'},
                        body=[b'abc', BREAKS_OFF])
    assert answer.status == 408 and 'did not come whole' in answer.json['error']
    assert caplog.text == ''


@pytest.mark.parametrize(('query', 'message'), [
    ('', 'nothing to look for'), ('text=%20', 'nothing to look for'), ('not=a', 'nothing to look'),
    ('text=' + 501 * 'a', 'text: String should have at most 500 characters'),
    (9 * '&text=a', 'text: List should have at most 8'),
    ('text=a&top_k=0', 'top_k'), ('text=a&top_k=201', 'top_k'), ('text=a&top_k=x', 'top_k'),
    ('text=a&weight=nan', 'weight'), ('text=a&weight=1e9', 'weight'),
    ('text=a&weight=1&weight=1', '2 weights are given for 1 texts'),
    ('text=a&weight=0', 'leave nothing of a query'), ('like=x', 'like'),
    ('like=99999999999999999999999', 'no such moment')])
def test_queries_that_are_not_understood(client, query, message):
    answer = client.ask(f'/api/search?{query}')
    assert answer.status in (404, 422) and message in Error.model_validate(answer.json).error


def test_pictures_of_moments(client, extracted):
    answer = client.ask('/api/thumbnail?name=a/one.mp4&at=1.5')
    assert answer.status == 200 and answer.headers['content-type'] == 'image/jpeg'
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert max(picture.size) <= 360
    again = client.ask('/api/thumbnail?name=a/one.mp4&at=1.5',
                       headers={'if-none-match': answer.headers['etag']})
    assert (again.status, again.body) == (304, b'')
    late = client.ask('/api/thumbnail?name=a/one.mp4&at=1e6')  # its last frame
    assert late.status == 200 and late.headers['etag'] != answer.headers['etag']
    for query, status in (('name=a/one.mp4&at=-1', 422), ('name=a/one.mp4&at=nan', 422),
                          ('name=gone.mp4', 404), ('', 422)):
        assert client.ask(f'/api/thumbnail?{query}').status == status


def test_pictures_of_a_video_that_was_damaged_since(client, extracted):
    path = extracted / 'corpus' / 'top.avi'
    whole = path.read_bytes()
    try:
        path.write_bytes(b'damaged')
        answer = client.ask('/api/thumbnail?name=top.avi')
        assert answer.status == 422 and 'the video cannot be read' in answer.json['error']
        path.unlink()
        assert client.ask('/api/thumbnail?name=top.avi').json == dict(
            error='the video is no longer there, or its name is no UTF-8')
        assert client.ask('/api/video?name=top.avi').status == 404
    finally:
        path.write_bytes(whole)
    assert client.ask('/api/thumbnail?name=top.avi').status == 200


def test_the_page_and_its_schema(client):
    for path, kind in (('/', 'text/html; charset=utf-8'), ('/icon.svg', 'image/svg+xml'),
                       ('/page.js', 'text/javascript; charset=utf-8'),
                       ('/page.css', 'text/css; charset=utf-8')):
        answer = client.ask(path)
        assert answer.status == 200 and answer.headers['content-type'] == kind
        assert b'http://' not in answer.body.replace(b'http://www.w3.org/2000/svg', b'')
        assert b'https://' not in answer.body  # nothing is fetched from elsewhere
    schema = client.ask('/openapi.json').json
    assert set(schema['paths']) == {'/api/info', '/api/folders', '/api/search', '/api/thumbnail',
                                    '/api/video'}
    assert json.dumps(schema).count('HTTPValidationError') == 0  # errors are one sentence
    for path in ('/docs', '/redoc', '/api', '/page.html', '/api/search/', '//', '/..', '/api/no'):
        answer = client.ask(path)
        assert answer.status == 404 and answer.json == dict(
            error='there is nothing at this address'), path
    assert client.ask('/api/info', 'DELETE').status == 405


def test_a_fault_of_ours_tells_nothing(library, client, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError('/secret/place')

    monkeypatch.setattr(library.searcher, 'search', fail)
    with pytest.raises(RuntimeError, match='secret'):  # for the log of the server
        client.ask('/api/search?text=a')
    start, body = client.told
    assert start['status'] == 500 and b'secret' not in body['body']
    assert json.loads(body['body'])['error'].startswith('something went wrong here')
