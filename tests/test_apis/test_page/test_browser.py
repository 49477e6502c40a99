"""The whole of the page as a person uses it, in a Chromium without a window."""

import io
import shutil
import threading
import time
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.grey_videos import write_grey_video
from tvtsv2_mm.apis.features.extract import ExtractionConfig, extract
from tvtsv2_mm.apis.page.serving import PageServer, open_library
from tvtsv2_mm.apis.windows import Windows

CHROMIUM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason='there is no Chromium (Debian: apt install chromium)')
EVIL = '<img src=x onerror="document.title=1">'  # of a name, and of what is said


@pytest.fixture(scope='module')
def place(extracted, tmp_path_factory):
    """Features of videos of VP8, which any build of Chromium plays, and of one that none plays."""
    root = tmp_path_factory.mktemp('browser')
    for name, frames in (('a/one.webm', 42), ('a/b/two.webm', 42), ('b/three.webm', 30),
                         ('b/old.avi', 20)):
        path = root / 'corpus' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_grey_video(path, num_frames=frames, codec='mpeg4' if name[-1] == 'i' else 'libvpx')
    (root / 'corpus/b/three.webm').rename(root / 'corpus/b' / (EVIL.replace('/', '_') + '.webm'))
    (root / 'corpus/a/one.vtt').write_text(
        f'WEBVTT\n\n00:00:01.000 --> 00:00:02.000\na dog {EVIL}\n')
    config = ExtractionConfig(weights=str(extracted / 'tiny.pth'), device='cpu',
                              windows=Windows(seconds=1.0, stride=1.0))
    extract(str(root / 'corpus'), str(root / 'features'), config, show_progress=False)
    return root


@pytest.fixture(scope='module')
def address(place, extracted):
    server = PageServer(open_library(place / 'features', str(extracted / 'tiny.pth'), device='cpu'),
                        port=0, token='token-of-the-test')
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server.address
    server.stop()
    thread.join(10)


@pytest.fixture(scope='module')
def chromium():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        # As root it has no sandbox, and pages of others are not opened here.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, address):
    """Open the page; whatever it says to the console or asks elsewhere is an error in the end."""
    contexts, found = [], []

    def open_(target='', **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        # That an answer is an error is told too, which tests ask for.
        page.on('console', lambda told: found.append(told.text) if told.type == 'error'
                and 'the server responded with a status of 4' not in told.text else None)
        page.on('pageerror', lambda error: found.append(str(error)))
        own = '{0.scheme}://{0.netloc}/'.format(urlsplit(address))
        page.on('request', lambda request: None if request.url.startswith((own, 'blob:'))
                else found.append(request.url))
        page.goto(address)
        page.wait_for_selector('#welcome:visible')
        if target:
            page.goto(own + target)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not found


def results(page):
    return page.locator('#results li').count()


def search(page, text):
    with page.expect_response('**/api/search?*'):
        page.fill('#text', text)
        page.keyboard.press('Enter')
    page.wait_for_selector('#results:not(.old) li')


def until(page, expression, seconds=15):
    """Wait for what is so in the page, which itself may not be told to evaluate words."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


def query_of(page):
    return parse_qs(urlsplit(page.url).query)


def test_search_play_and_more_like_this_by_keys(open_page):
    page = open_page()
    assert 'token' not in page.url and '4 videos' in page.text_content('#there')
    page.locator('body').click(position=dict(x=5, y=400))
    page.keyboard.press('/')
    assert page.evaluate('document.activeElement.id') == 'text'
    page.keyboard.type('a dog')
    page.keyboard.press('Enter')
    page.wait_for_selector('#results li')
    assert query_of(page) == dict(q=['a dog']) and 'best first' in page.text_content('#status')
    assert page.title() == 'a dog – Find the moment'

    page.keyboard.press('ArrowDown')  # from the box to the results
    page.keyboard.press('End')
    page.keyboard.press('Home')
    page.keyboard.press('ArrowRight')
    assert page.evaluate('[...document.querySelectorAll(".play")].indexOf(document.activeElement)'
                         ) == 1
    page.keyboard.press('Home')
    first = page.locator('.play').nth(0).get_attribute('aria-label')
    page.keyboard.press('Enter')
    page.wait_for_selector('#player[open]')
    name = page.text_content('#name')
    assert name in first and 'play' in query_of(page)
    page.keyboard.press('n')
    assert page.text_content('#name') in page.locator('.play').nth(1).get_attribute('aria-label')
    page.keyboard.press('p')
    assert page.text_content('#name') == name
    page.keyboard.press('Escape')
    page.wait_for_selector('#player:not([open])', state='attached')
    until(page, '!location.search.includes("play")')
    assert page.evaluate('[...document.querySelectorAll(".play")].indexOf(document.activeElement)'
                         ) == 0

    with page.expect_response('**/api/search?*like=*'):
        page.keyboard.press('m')
    page.wait_for_selector('.chip')
    assert list(query_of(page)) == ['like'] and page.input_value('#text') == ''
    page.go_back()
    until(page, 'document.getElementById("text").value === "a dog"')
    page.wait_for_selector('#chips', state='hidden')
    page.keyboard.press('?')
    page.wait_for_selector('#help[open]')
    page.keyboard.press('Escape')
    page.wait_for_selector('#help:not([open])', state='attached')


def test_a_moment_plays_from_its_second_and_says_its_end(open_page):
    page = open_page('?q=a&folder=a')
    page.wait_for_selector('#results li')
    shown = page.evaluate('''async () => {
        const found = await (await fetch('/api/search?text=a&folder=a&top_k=24')).json();
        return found.moments}''')
    # With few windows a moment is a whole video: one that starts later is asked for as videos.
    page.check('#videos')
    until(page, 'location.search.includes("videos=1")')
    page.wait_for_selector('#results:not(.old) li')
    starts = page.evaluate('''async () => (await (await fetch(
        '/api/search?text=a&folder=a&per_video=1&top_k=24')).json()).moments''')
    index = max(range(len(starts)), key=lambda number: starts[number]['start'])
    page.locator('.play').nth(index).click()
    page.wait_for_selector('#player[open]')
    wanted = starts[index]['start']
    until(page, f'document.getElementById("video").currentTime >= {wanted}')
    assert page.evaluate('document.getElementById("video").currentTime') < wanted + 2
    assert '–' in page.text_content('#range')
    until(page, 'document.getElementById("span").style.width !== "0%"')
    until(page, 'document.getElementById("ended").textContent.includes("over")')
    page.click('[data-do=again]')
    until(page, f'document.getElementById("video").currentTime < {wanted} + 0.9')
    page.click('[data-do=repeat]')
    assert page.get_attribute('[data-do=repeat]', 'aria-pressed') == 'true'
    # The address plays it again, and back closes it.
    page.reload()
    page.wait_for_selector('#player[open]')
    assert page.text_content('#name') == starts[index]['video']
    page.click('#player [data-do=close]')
    page.wait_for_selector('#player:not([open])', state='attached')
    assert {moment['video'] for moment in shown} == {'a/one.webm', 'a/b/two.webm'}


def test_folders_words_and_errors(open_page):
    page = open_page('?q=a%20dog')
    page.wait_for_selector('#results li')
    assert results(page) == 4
    # What names and transcripts hold is text.
    assert EVIL in page.text_content('#results') and page.title() != '1'
    assert page.locator('#results img[onerror]').count() == 0
    options = page.locator('#folder option').all_text_contents()
    assert options == ['all folders', 'a (2)', 'a/b (1)', 'b (2)']
    page.select_option('#folder', 'a/b')
    until(page, 'document.querySelectorAll("#results li").length === 1')
    page.select_option('#folder', 'b')
    until(page, 'document.querySelectorAll("#results li").length === 2')
    page.fill('#unwanted', 'a cat')
    until(page, 'location.search.includes("not=")')
    page.wait_for_selector('#results:not(.old) li')

    old = page.locator('.play', has_text='old.avi')
    assert old.locator('img').evaluate(
        'async (image) => (await image.decode(), image.naturalWidth)')
    old.click()
    page.wait_for_selector('#broken:visible')
    assert 'cannot play' in page.text_content('#broken')
    page.keyboard.press('Escape')
    until(page, '!location.search.includes("play")')  # the browser goes back, which takes a while
    page.goto(urlsplit(page.url)._replace(query='q=a&folder=gone').geturl())
    page.wait_for_selector('#status.bad')
    assert page.text_content('#status') == 'There is no such folder of videos.'
    page.goto(urlsplit(page.url)._replace(query='like=9999').geturl())
    page.wait_for_selector('#status.bad')
    assert 'no such moment' in page.text_content('#status')


def test_a_picture_and_a_clip_as_the_query(open_page, place):
    page = open_page()
    file = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(file, 'PNG')
    page.set_input_files('#file', dict(name='grey.png', mimeType='image/png',
                                       buffer=file.getvalue()))
    page.wait_for_selector('#results li')
    assert 'like grey.png' in page.text_content('#chips')
    page.locator('.play').nth(0).click()
    page.wait_for_selector('#player[open]')
    page.keyboard.press('Escape')
    until(page, '!location.search.includes("play")')
    assert 'like grey.png' in page.text_content('#chips')  # it is not lost by playing
    page.click('.chip button')
    page.wait_for_selector('#welcome:visible')

    clip = (place / 'corpus/a/one.webm').read_bytes()
    data = page.evaluate_handle('''(numbers) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(numbers)], 'one.webm', {type: 'video/webm'}));
        return data}''', list(clip))
    page.dispatch_event('body', 'dragenter', dict(dataTransfer=data))
    assert page.is_visible('#drop')
    page.dispatch_event('body', 'drop', dict(dataTransfer=data))
    page.wait_for_selector('#results li')
    assert page.is_hidden('#drop') and 'like one.webm' in page.text_content('#chips')
    # Both show the same.
    label = page.locator('.play').nth(0).get_attribute('aria-label')
    assert 'a/one.webm' in label or 'a/b/two.webm' in label


def test_a_file_that_is_neither(open_page, chromium):
    page = open_page()
    with page.expect_response('**/api/search?*') as answer:
        page.set_input_files('#file', dict(name='x.png', mimeType='image/png', buffer=b'none'))
    assert answer.value.status == 422
    page.wait_for_selector('#status.bad')
    assert 'no picture or video' in page.text_content('#status')


@pytest.mark.parametrize('dark', [False, True])
def test_phone_width_and_dark_mode(open_page, dark):
    page = open_page('?q=a', viewport=dict(width=360, height=640), is_mobile=True, has_touch=True,
                     color_scheme='dark' if dark else 'light')
    page.wait_for_selector('#results li')
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    red, *_ = page.evaluate('getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g)')
    assert (int(red) < 60) is dark
    page.locator('.like').nth(0).tap()
    page.wait_for_selector('.chip')
    page.locator('.play').nth(0).tap()
    page.wait_for_selector('#player[open]')
    box = page.locator('#player').bounding_box()
    assert box['x'] >= 0 and box['x'] + box['width'] <= 360
    assert page.evaluate('document.documentElement.scrollWidth') <= 360


def test_the_token_is_asked_for(chromium, address):
    context = chromium.new_context()
    page = context.new_page()
    answer = page.goto(address.partition('?')[0])
    assert answer.status == 401
    page.fill('#token', 'token-of-the-test')
    page.keyboard.press('Enter')
    page.wait_for_selector('#welcome:visible')
    assert 'token' not in page.url
    context.close()
