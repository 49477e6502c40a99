import pytest

from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.preparation.converters.subtitles import read_subtitles

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
    (tmp_path / 'a.srt').write_bytes('Grüße'.encode('latin-1'))
    with pytest.raises(DropRecord, match='UTF-8'):
        read_subtitles(tmp_path / 'a.srt')
    assert read(tmp_path, 'nothing here', 'b.srt')['words'] == []


def srt(*cues: tuple[str, str, str]) -> str:
    return ''.join(f'{number}\n{start} --> {end}\n{text}\n\n'
                   for number, (start, end, text) in enumerate(cues, 1))


@pytest.mark.parametrize(('name', 'start', 'end'), [
    ('a.srt', '00:01,000', '00:03,5'), ('a.vtt', '00:00:01,000', '00:00:03,500'),
    ('a.srt', '0:0:1.000', '0:0:3.500  X1:100 Y1:20'),
    ('a.VTT', '00:01', '000:00:03.50 align:left'),
])
def test_times_in_all_their_ways(tmp_path, name, start, end):
    head = '' if name.endswith('srt') else 'WEBVTT\n\n'
    assert read(tmp_path, head + srt((start, end, 'go')), name)['words'] == [['go', 1.0, 3.5]]


@pytest.mark.parametrize('line', [
    '0.:00:04.000 --> 00:00:06.500', '-00:00:01,000 --> 00:00:02,000', '00:61,000 --> 00:62,000',
    'nan --> 00:00:02,000', 'so<00:00:01.920><c00 --> 00:00:06.> it</c>'])
def test_a_line_of_times_that_cannot_be_read_is_named(tmp_path, line):
    with pytest.raises(DropRecord, match='has not the two times of a cue') as dropped:
        read(tmp_path, srt(('00:00:01,000', '00:00:02,000', 'one')) + f'2\n{line}\ntwo\n', 'a.srt')
    assert dropped.value.place == 'line 6'


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_encodings_with_a_mark(tmp_path, encoding):
    text = srt(('00:00:01,000', '00:00:02,000', 'Grüße'))
    (tmp_path / 'a.srt').write_bytes(text.replace('\n', '\r\n').encode(encoding))
    assert read_subtitles(tmp_path / 'a.srt')['words'] == [['Grüße', 1.0, 2.0]]


@pytest.mark.parametrize(('text', 'words'), [
    ('here 5 < 6 and 7 > 3 holds', None), ('if a < b and c > d', None), ('a<b and c>d', None),
    ('I <3 you <bob@example.com> -> {laughs}', None),
    ('<i>so</i> <FONT color="#fff" size=3>it</FONT><b>\'s</b> {\\an8}{\\c&HFF&}on{\\r}',
     "so it's on"),
    ('<font face=Arial>so</font> &lt;i&gt; it\\hgoes&nbsp;on', 'so <i> it goes on'),
    ('one\\Ntwo\n\nthree\n10', 'one two three 10'), ('one<br>two<BR/><br />three', 'one two three'),
    ('from 00:00:07,000 to 00:00:08.000', None), ('7', None),
])
def test_tags_and_text(tmp_path, text, words):
    given = srt(('00:00:01,000', '00:00:02,000', text), ('00:00:02,000', '00:00:03,000', 'end'))
    assert words_of(read(tmp_path, given, 'a.srt')) == (words or text) + ' end'


def test_numbers_are_of_the_cues_or_spoken(tmp_path):
    times = [(f'00:00:0{i}.000', f'100:00:0{i}.000') for i in range(4)]
    texts = ['7', '', '8\n9', '10']
    numbered = srt(*((*each, text) for each, text in zip(times, texts, strict=True)))
    bare = ''.join(f'{start} --> {end}\n{text}\n\n'
                   for (start, end), text in zip(times, texts, strict=True))
    for name, text in (('a.srt', numbered), ('b.srt', numbered.replace('\n00', '\n\n00')),
                       ('c.srt', bare), ('d.vtt', 'WEBVTT\n\n' + numbered),
                       ('e.vtt', 'WEBVTT\n\n' + bare)):
        result = read(tmp_path, text, name)
        assert words_of(result) == '7 8 9 10'
        assert result['words'][-1][2] == 360003.0
        assert 'remarks' not in result['meta']


def test_tags_of_webvtt(tmp_path):
    assert words_of(read(tmp_path, (
        'WEBVTT\n\nSTYLE\n::cue { color: red }\n\n00:01.000 --> 00:02.000\n'
        '<v.loud Mary Ann>so <c.yellow.bg>it</c></v> <lang en-GB>goes</lang>\nT minus\n10\n\n'
        'NOTE no\nword\n\n00:02.000 --> 00:03.000\non\n'))) == 'so it goes T minus 10 on'


def test_a_line_break_of_substation_does_not_end_a_cue_of_webvtt(tmp_path):
    result = read(tmp_path, 'WEBVTT\n\n00:01.000 --> 00:02.000\n\\Ngo\\N\\Nleft\n')
    assert words_of(result) == 'go left'
    assert 'remarks' not in result['meta']


def test_lines_of_no_cue_are_counted(tmp_path):
    text = ('WEBVTT\n\n00:01.000 --> 00:02.000\ngo\n\nbehind an empty line\nof two\n\n'
            '00:02.000 --> 00:03.000\nleft\n')
    result = read(tmp_path, text)
    assert words_of(result) == 'go left'
    assert result['meta']['remarks'] == {'lines that belong to no cue: left out': 2}
    assert read(tmp_path, 'some\nwords', 'b.srt')['meta']['remarks'] == {
        'lines that belong to no cue: left out': 2}


def test_words_of_overlapping_cues_do_not_mingle(tmp_path):
    cues = [('00:00:02,000', '00:00:04,000', 'c d'), ('00:00:01,000', '00:00:05,000', 'a b'),
            ('00:00:02,000', '00:00:03,000', 'e f')]
    assert read(tmp_path, srt(*cues), 'a.srt')['words'] == [
        ['a', 1.0, 1.5], ['b', 1.5, 2.0], ['c', 2.0, 2.5], ['d', 2.5, 3.0], ['e', 3.0, 3.5],
        ['f', 3.5, 4.0]]


def test_odd_cues_are_counted(tmp_path):
    result = read(tmp_path, srt(('00:00:05,000', '00:00:03,000', 'a b'),
                                ('00:00:07,000', '00:00:08,000', 'c'),
                                ('00:00:07,000', '00:00:08,000', 'c')), 'a.srt')
    assert result['words'] == [['a', 5.0, 5.0], ['b', 5.0, 5.0], ['c', 7.0, 8.0]]
    assert result['meta']['remarks'] == {
        'cues that end before they start: taken at their start': 1,
        'cues that are there twice: taken once': 1}


def test_times_inside_a_cue_that_go_back(tmp_path):
    result = read(tmp_path, 'WEBVTT\n\n00:01.000 --> 00:03.000\na<00:02.000> b<00:01.500> c\n')
    assert words_of(result) == 'a b c'
    assert sum(result['meta']['remarks'].values()) == 1


@pytest.mark.parametrize('mark', [
    '<u>{}</u>', '<b>{}</b>', '<font color="#00ff00">{}</font>', '<c.now>{}</c>',
    '{{\\c&H00FF00&}}{}{{\\c}}', '{{\\u1}}{}{{\\u0}}'])
@pytest.mark.parametrize('rest', ['{}', '<font color="#ffffff">{}</font>'])
@pytest.mark.parametrize('growing', [False, True])
def test_any_mark_of_one_word_is_its_time(tmp_path, mark, rest, growing):
    words = ['we', 'cut', 'the', 'bread']
    cues = [(f'00:00:0{i},000', f'00:00:0{i + 1},000', ' '.join(
        (mark if (j <= i if growing else j == i) else rest).format(word)
        for j, word in enumerate(words))) for i in range(4)]
    assert read(tmp_path, srt(*cues), 'a.srt') == {
        'words': [[word, i, i + 1] for i, word in enumerate(words)],
        'meta': {'source': 'srt', 'word_times': 'given'}}


def test_a_sentence_said_twice_and_a_word_without_a_mark(tmp_path):
    texts = ['<u>No,</u> no.', 'No, <u>no.</u>', '<u>No,</u> no.', 'No, <u>no.</u>',
             '<u>go</u> to it', 'go to <u>it</u>']
    result = read(tmp_path, srt(*((f'00:00:0{i},000', f'00:00:0{i},500', text)
                                  for i, text in enumerate(texts))), 'a.srt')
    assert result['words'] == [
        ['No,', 0, 0.5], ['no.', 1, 1.5], ['No,', 2, 2.5], ['no.', 3, 3.5], ['go', 4, 4.5],
        ['to', 4.5, 5], ['it', 5, 5.5]]
    assert result['meta']['spread_words'] == 1


def test_speakers_in_colours_are_no_word_times(tmp_path):
    texts = ['<font color="red">No.</font>', '<font color="blue">No.</font>', 'Go on.']
    result = read(tmp_path, srt(*((f'00:00:0{i},000', f'00:00:0{i + 1},000', text)
                                  for i, text in enumerate(texts))), 'a.srt')
    assert words_of(result) == 'No. No. Go on.'
    assert result['meta']['word_times'] == 'spread'
