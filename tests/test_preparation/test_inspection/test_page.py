import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tvtsv2_mm.datasets.transforms import SampleTranscriptSegments
from tvtsv2_mm.preparation.inspection import survey_file, write_page

VIDEOS = Path(__file__).parents[2] / 'data' / 'videos'
SAMPLER = SampleTranscriptSegments(num_segments=2, segment_seconds=(1, 1), gap_seconds=0)
SPOKEN = [['set', 0.49, 0.77], ['white', 0.77, 1.09], ['with', 1.09, 1.22], ['p', 1.22, 1.44],
          ['two', 1.44, 1.73], ['soon', 1.73, 2.21]]
EVIL = '<script>alert("x")</script>&\'"><img src=http://a.b/c>'


class Tags(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ''
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def inspect(tmp_path, records, **kwargs) -> tuple[Tags, str]:
    path = tmp_path / 'a.jsonl'
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))
    summary = write_page(survey_file(path), tmp_path / 'a.html', sampler=SAMPLER, **kwargs)
    return Tags((tmp_path / 'a.html').read_text('utf-8')), summary


def test_frames_with_their_words(tmp_path):
    page, summary = inspect(
        tmp_path, [{'path': 'grid_swwp2s.mpg', 'duration': 2.98, 'words': SPOKEN}], videos=VIDEOS)
    pictures = [attrs['src'] for tag, attrs in page.found if tag == 'img'
                and attrs['src'].startswith('data:image/jpeg')]
    assert len(pictures) == 2 * 3
    data = np.frombuffer(base64.b64decode(pictures[0].partition(',')[2]), np.uint8)
    assert min(cv2.imdecode(data, cv2.IMREAD_COLOR).shape[:2]) == 112
    assert re.search(r'\d\.\d s to \d\.\d s (set |white )', page.text)
    assert 'segments: 0.0% of 1 transcripts' in summary


def test_untrusted_text_is_escaped_and_nothing_is_loaded(tmp_path):
    records = [
        {'path': EVIL, 'captions': [f'{EVIL} a dog runs along the beach']},
        {'path': 'part_0.mp4', 'captions': [f'{EVIL} ein Hund läuft an dem Strand entlang']},
        {'path': 'b.mp4', 'captions': ['people are in a room and talk'], EVIL: 1}]
    page, _ = inspect(tmp_path, records, videos=VIDEOS)
    tags = {tag for tag, _ in page.found}
    assert 'script' not in tags
    assert not tags & {'link', 'iframe', 'object', 'a'}
    for _, attrs in page.found:
        assert attrs.get('src', 'data:').startswith('data:')
        assert not any(name.startswith('on') for name in attrs)
    policy = [attrs['content'] for tag, attrs in page.found
              if attrs.get('http-equiv') == 'Content-Security-Policy']
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    # ... and it is all there to read: the title of the missing video, a caption, the unknown key.
    assert page.text.count(EVIL) >= 3


def test_a_video_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / 'broken.mp4').write_bytes(b'')
    page, _ = inspect(tmp_path, [{'path': 'broken.mp4', 'captions': ['x']}], videos=tmp_path)
    errors = [attrs for tag, attrs in page.found if attrs.get('class') == 'error']
    assert len(errors) == 1


def test_languages_mixed_in(tmp_path):
    english = 'now we put the pan on the stove and wait until the oil is hot'
    german = 'jetzt stellen wir die Pfanne auf den Herd und warten bis das Öl heiß ist'
    page, summary = inspect(tmp_path, [
        {'path': 'a', 'captions': [english]}, {'path': 'b', 'captions': [english]},
        {'path': 'c', 'captions': [german]}, {'path': 'd', 'captions': ['ok']}])
    assert 'languages of 4 records: 2 en, 1 de, 1 unsure' in summary
    assert '1 of 4 records are in another language than en; 1 are too short' in page.text
    assert german in page.text


def test_records_without_words_or_durations(tmp_path):
    page, _ = inspect(tmp_path, [{'path': 'a', 'duration': 0, 'words': []}])
    assert 'transcripts without a word' in page.text


def test_no_folder_of_videos(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'there is no folder .*none'):
        inspect(tmp_path, [{'path': 'a', 'captions': ['x']}], videos=tmp_path / 'none')


def test_plots_are_pictures(tmp_path):
    page, _ = inspect(tmp_path, [{'path': 'a', 'captions': ['x'], 'duration': 3}])
    plots = [attrs['src'] for tag, attrs in page.found if tag == 'img']
    assert len(plots) == 3
    for plot in plots:
        data = io.BytesIO(base64.b64decode(plot.partition(',')[2])).getvalue()
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).std() > 0
