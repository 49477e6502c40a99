import pytest

from tvtsv2_mm.datasets.converters.report import DropRecord
from tvtsv2_mm.datasets.converters.subtitles import read_subtitles

# As YouTube's automatic captions are: two rolling lines, each finished line flashed once more.
# A line with two times inside, as the first one, must not be taken for the head of a cue.
ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:01.000 --> 00:00:02.900 align:start position:0%
_
a<00:00:01.200><c> red</c><00:00:01.500><c> ball</c>

00:00:02.900 --> 00:00:02.910 align:start position:0%
a red ball
_

00:00:02.910 --> 00:00:05.000 align:start position:0%
a red ball
rolls<00:00:03.300><c> &amp;</c><00:00:03.400><c> really</c><00:00:04.400><c> stops</c>

00:00:05.000 --> 00:00:05.010 align:start position:0%
rolls &amp; really stops
_

00:00:05.010 --> 00:00:06.000 align:start position:0%
rolls &amp; really stops
two words
""".replace('_', ' ')


def read(tmp_path, text: str, name: str = 'a.vtt') -> dict:
    (tmp_path / name).write_text(text, encoding='utf-8')
    return read_subtitles(tmp_path / name)


def test_word_times_of_rolling_captions(tmp_path):
    assert read(tmp_path, ROLLING) == {
        'words': [['a', 1.0, 1.2], ['red', 1.2, 1.5], ['ball', 1.5, 2.5], ['rolls', 2.91, 3.3],
                  ['&', 3.3, 3.4], ['really', 3.4, 4.4], ['stops', 4.4, 5.0],
                  ['two', 5.01, 5.505], ['words', 5.505, 6.0]],
        'meta': {'source': 'vtt', 'word_times': 'partly spread', 'spread_words': 2}}
    given = read(tmp_path, ROLLING.replace('06.000', '08.000').replace('two words', 'end'))
    assert given['words'][-1] == ['end', 5.01, 6.01]
    assert given['meta']['word_times'] == 'given'


def test_cues_are_spread_over_their_words(tmp_path):
    assert read(tmp_path, (
        '1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i> there,\nbig world\n\n'
        '2\n00:01:00,500 --> 00:01:01,500\nBye\n'), 'a.srt') == {
            'words': [['Hello', 1.0, 1.25], ['there,', 1.25, 1.5], ['big', 1.5, 1.75],
                      ['world', 1.75, 2.0], ['Bye', 60.5, 61.5]],
            'meta': {'source': 'srt', 'word_times': 'spread'}}


def words_of(result: dict) -> str:
    return ' '.join(word for word, *_ in result['words'])


def test_rolling_lines_without_word_times_are_taken_once(tmp_path):
    assert words_of(read(tmp_path, (
        '1\n00:00:01,000 --> 00:00:02,000\none\n\n'
        '2\n00:00:02,000 --> 00:00:03,000\none\ntwo\n\n'
        '3\n00:00:03,000 --> 00:00:03,010\ntwo\n\n'
        '4\n00:00:03,010 --> 00:00:04,000\ntwo\nthree\n'), 'a.srt')) == 'one two three'


def test_what_is_said_twice_counts_twice(tmp_path):
    assert words_of(read(tmp_path, (
        '1\n00:00:01,000 --> 00:00:02,000\nNo.\n\n'
        '2\n00:00:02,000 --> 00:00:03,000\nNo.\n'), 'a.srt')) == 'No. No.'


def test_comments_and_names_of_cues_are_not_spoken(tmp_path):
    assert words_of(read(tmp_path, (
        'WEBVTT - a title\n\nintro\n00:01.000 --> 00:02.000\n<v Ann>Hi &lt;all&gt;\n\n'
        'NOTE not spoken\n\nsecond cue\n00:02.000 --> 00:03.000\nthere\n'))) == 'Hi <all> there'


HIGHLIGHTED = """1
00:00:01,000 --> 00:00:01,500
<u>Go</u> left, left.

2
00:00:01,500 --> 00:00:02,000
Go left, left.

3
00:00:02,000 --> 00:00:02,250
Go <u>left,</u> left.

4
00:00:02,250 --> 00:00:03,000
Go left, <u>left.</u>

5
00:00:03,000 --> 00:00:04,000
Not timed.
"""


def test_word_times_of_highlighted_words(tmp_path):
    assert read(tmp_path, HIGHLIGHTED, 'a.srt') == {
        'words': [['Go', 1.0, 1.5], ['left,', 2.0, 2.25], ['left.', 2.25, 3.0],
                  ['Not', 3.0, 3.5], ['timed.', 3.5, 4.0]],
        'meta': {'source': 'srt', 'word_times': 'partly spread', 'spread_words': 2}}


def test_an_underlined_word_is_no_word_time(tmp_path):
    text = '1\n00:00:01,000 --> 00:00:02,000\n<u>Go</u> left.\n'
    assert read(tmp_path, text, 'a.srt')['meta']['word_times'] == 'spread'


def test_not_subtitles(tmp_path):
    (tmp_path / 'a.srt').write_bytes('Grüße'.encode('utf-16'))
    with pytest.raises(DropRecord, match='UTF-8'):
        read_subtitles(tmp_path / 'a.srt')
    assert read(tmp_path, 'nothing here', 'b.srt')['words'] == []
