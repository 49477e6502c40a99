"""Subtitles, .vtt and .srt, to words with times."""

import html
import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, groupby, takewhile
from pathlib import Path

from tvtsv2_mm.preparation.converters import timing
from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.preparation.converters.timing import Cue, Remarks, TimedText
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.text_files import read_text

# pysubs2 splits a file into cues. It is given the times in the one form that it reads right: of
# .srt it wants hours, of .vtt a point and no fraction of two digits.
_CLOCK = r'(?:\d{1,3}:)?[0-5]?\d:[0-5]?\d(?:[.,]\d{1,3})?'
_TIME_LINE = re.compile(rf'\s*({_CLOCK})\s*-->\s*({_CLOCK})(?:\s.*)?')
# It takes any line with two times for those of a cue, so the colons of all others are hidden.
_COLON = '\0'
# It leaves out blank lines at either end of a cue, behind which WebVTT has comments, and a line of
# digits at its end, as the next one's number: so marks of our own stand there, and such a line.
_MARK, _NUMBER = '_', '0'
# WebVTT: <00:00:01.920> inside a cue is the time of what follows.
_TIME_TAG = re.compile(f'<({_CLOCK})>')
_LINE_BREAK = re.compile(r'<br\s*/?>', re.IGNORECASE)
# Not by pysubs2, to which "<b and c>" and "{laughs}" are tags. A tag has the form of one: a name,
# then a class (WebVTT) or attributes with values, or free text for a voice or a language (WebVTT).
# {\...} are those of SubStation.
_TAG = re.compile(
    r'(</?[a-z][a-z0-9]*(?:\.[^\s<>]*)?'
    r'''(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*\s*/?>'''
    r'|<(?:v|lang)(?:\.[^\s<>]*)?\s[^<>]*>'
    rf'|<{_CLOCK}>'
    r'|{\\[^{}]*})', re.IGNORECASE)
# Of SubStation: a colour or a style begins; it ends.
_STYLE_ON = re.compile(r'{\\(?:1?c&|[bius]1)[^}]*}', re.IGNORECASE)
_STYLE_OFF = re.compile(r'{\\(?:1?c|r[^}]*|[bius]0)}', re.IGNORECASE)
# Automatic captions of YouTube show each finished line once more, for 10 ms.
_FLASH_S = 0.05


def read_subtitles(path: Path) -> dict:
    """Read a subtitle file.

    Words take their times from the file where it has them (YouTube's automatic captions, Whisper's
    highlighted words, and others that mark one word after the other), else the words of a cue are
    spread evenly over it; ``meta`` says which: ``word_times`` is 'given', 'spread', or 'partly
    spread' (and then how many: ``spread_words``). Lines that a rolling caption shows again are
    taken once. Cues are taken in the order of their starts (see :func:`arrange`).

    Returns:
        ``words`` and ``meta``, as in the transcript format.

    Raises:
        DropRecord: If it is no text, or has a line of times that cannot be read.
        MissingPackageError: If pysubs2 is not installed.
    """
    try:
        text = read_text(path)
    except (ValueError, OSError) as error:
        raise DropRecord('it cannot be read as subtitles in UTF-8') from error
    remarks: Remarks = Counter()
    cues = timing.arrange(_cues(text, remarks), remarks)
    if any(_TIME_TAG.search(line) for lines, _, _ in cues for line in lines):
        given, guessed = _rolling_words(cues, True, remarks)
    else:
        given, guessed = _marked_words(cues) or _rolling_words(cues, False, remarks)
    meta = {'source': path.suffix.lower().lstrip('.')}
    return timing.as_words(given + guessed, len(guessed), meta, remarks)


def _cues(text: str, remarks: Remarks) -> list[Cue]:
    """Cues of a file in its order.

    Behind an empty line WebVTT has comments and the name of the next cue; SubRip has its number
    there, but may have more lines of the cue.
    """
    webvtt = text.lstrip().startswith('WEBVTT')
    before = list(filter(str.strip, takewhile(lambda line: '-->' not in line, text.split('\n'))))
    numbered = not webvtt and bool(before) and before[-1].strip().isdecimal()
    outside = [] if webvtt else before[:len(before) - numbered]
    events = _events(text, numbered)
    cues = []
    for number, event in enumerate(events, 1):
        payload = event.text.replace(_COLON, ':').split(r'\N')[1:None if numbered else -1]
        if webvtt:
            ended = payload.index('') if '' in payload else len(payload)
            outside += _unnamed(payload[ended:], number == len(events))
            payload = payload[:ended]
        lines = [part for line in payload for part in _LINE_BREAK.split(line) if _plain(part)]
        cues.append((lines, event.start / 1000, event.end / 1000))
    remarks += Counter({'lines that belong to no cue: left out': len(outside)})
    return cues


def _events(text: str, numbered: bool) -> list:
    """What pysubs2 finds in a file, with a mark in front and, unless numbered, one behind."""
    with needed_for('reading .vtt and .srt'):
        import pysubs2
    behind = [_NUMBER] if numbered else [_MARK, _NUMBER]
    prepared = ['']
    for number, line in enumerate(text.split('\n'), 1):
        if '-->' in line:
            match = _TIME_LINE.fullmatch(line)
            if match is None:
                raise DropRecord('a line with "-->" has not the two times of a cue',
                                 place=f'line {number}')
            start, end = (pysubs2.time.ms_to_str(
                1000 * timing.clock_seconds(time), fractions=True) for time in match.groups())
            prepared += [*([] if numbered else behind), f'{start} --> {end}', _MARK]
        # More than one blank line is one: its patterns take quadratic time over many.
        elif line or prepared[-1]:
            prepared.append(line.replace(':', _COLON).replace(r'\N', '<br>'))
    return pysubs2.SSAFile.from_string('\n'.join([*prepared, *behind]), format_='vtt',
                                       keep_html_tags=True).events


def _unnamed(lines: Sequence[str], is_last: bool) -> list[str]:
    """Lines between two cues of WebVTT without comments, styles and the name of the next cue."""
    blocks = [list(block) for blank, block in groupby(lines, lambda line: not line.strip())
              if not blank]
    if blocks and not is_last and lines[-1].strip() and len(blocks[-1]) == 1:
        blocks.pop()
    return [line for block in blocks for line in block
            if not block[0].startswith(('NOTE', 'STYLE', 'REGION'))]


def _plain(line: str) -> str:
    return _unescaped(_TAG.sub('', line)).strip()


def _unescaped(text: str) -> str:
    # When the tags are out: "&lt;" is text.
    return html.unescape(text).replace('\\h', ' ')


def _styled_words(text: str) -> list[tuple[str, str]]:
    """Words of a cue, each with the tags that are open at its first letter."""
    letters: list[tuple[str, str]] = []
    opened: list[str] = []
    # Split at a pattern with a group: text, tag, text, tag, ..., text.
    for number, part in enumerate(_TAG.split(text)):
        if number % 2 == 0:
            letters += [(letter, ''.join(opened)) for letter in _unescaped(part)]
        elif part.startswith('</'):
            opened = opened[:-1]
        elif _STYLE_OFF.fullmatch(part):
            opened = []
        elif _STYLE_ON.fullmatch(part) or not part.startswith('{'):
            # Nobody opens more; a hostile file that does would take quadratic time.
            opened = [*opened, part.lower()][-8:]
    words = [list(word) for blank, word in groupby(letters, lambda letter: letter[0].isspace())
             if not blank]
    return [(''.join(letter for letter, _ in word),
             next((style for letter, style in word if letter.isalnum()), word[0][1]))
            for word in words]


def _marked_words(cues: Sequence[Cue]) -> tuple[list[TimedText], list[TimedText]] | None:
    """Words of a file that marks them one by one, as :func:`_rolling_words`; None of another file.

    Whisper's ``--highlight_words`` shows a sentence once for each word, which is underlined; others
    colour it, or what was said up to it. A word is said in the first cue that marks it. Between two
    words the sentence may be shown without a mark; a sentence that never has one is spread.
    """
    styled = [_styled_words(' '.join(lines)) for lines, _, _ in cues]
    sentences = [[word for word, _ in words] for words in styled]
    runs = [list(run) for _, run in groupby(range(len(cues)), key=sentences.__getitem__)]
    marks: list[set[int]] = []
    for run in runs:
        # Unless some word has no tag at all, the last one is plain at first: it is said last.
        bare = len(sentences[run[0]]) == 1 or any(not style for i in run for _, style in styled[i])
        plain = '' if bare or not styled[run[0]] else styled[run[0]][-1][1]
        marks += [{number for number, (_, style) in enumerate(styled[i]) if style != plain}
                  for i in run]
    # One marked word alone is emphasis: here the same sentence comes again with another one.
    if not any(marks[i - 1] and marks[i] and marks[i - 1] != marks[i]
               and sentences[i - 1] == sentences[i] for i in range(1, len(cues))):
        return None
    given: list[TimedText] = []
    guessed: list[TimedText] = []
    for run in runs:
        # Times of the marked words, by their numbers; of each time that the sentence is said.
        sayings: list[dict[int, TimedText]] = [{}]
        for i in run:
            if marks[i] and marks[i] <= sayings[-1].keys():
                sayings.append({})  # marked from the start once more
            new = sorted(marks[i] - sayings[-1].keys())
            times = timing.spread([sentences[i][number] for number in new], *cues[i][1:])
            sayings[-1] |= zip(new, times, strict=True)
        if sayings == [{}]:
            for i in run:
                guessed += timing.spread(sentences[i], *cues[i][1:])
            continue
        for said in sayings:
            first = min(start for _, start, _ in said.values())
            # A word that was never marked is spread between the others.
            words = [said.get(number, (word, None, None))
                     for number, word in enumerate(sentences[run[0]])]
            filled, _ = timing.fill([('', first, first), *words])
            for number, word in enumerate(filled[1:]):
                (given if number in said else guessed).append(word)
    return given, guessed


def _rolling_words(cues: Sequence[Cue], timed_file: bool,
                   remarks: Remarks) -> tuple[list[TimedText], list[TimedText]]:
    """Words with times of their own, and words whose times are spread over a cue."""
    given: list[TimedText] = []
    guessed: list[TimedText] = []
    shown: list[str] = []
    for lines, start, end in cues:
        plain = [_plain(line) for line in lines]
        # The first lines are the last ones of the cue before.
        num_repeated = next((number for number in range(min(len(plain), len(shown)), 0, -1)
                             if plain[:number] == shown[-number:]), 0)
        # Somebody may well say the same twice; a whole cue is a repetition only if it rolls.
        if num_repeated == len(plain) and not timed_file and end - start > _FLASH_S:
            num_repeated = 0
        untimed = []
        for line, line_plain in list(zip(lines, plain, strict=True))[num_repeated:]:
            # The first word of a line starts with its cue and has no tag, so one word needs none.
            if _TIME_TAG.search(line) or (timed_file and len(line_plain.split()) == 1):
                given += _timed_words(line, start, end, remarks)
            else:
                untimed += line_plain.split()
        guessed += timing.spread(untimed, start, end)
        shown = plain or shown
    return given, guessed


def _timed_words(line: str, start: float, end: float, remarks: Remarks) -> list[TimedText]:
    """Words of a line such as ``so<00:01.92><c> it</c>``: a part starts at the tag before it."""
    # Split at a pattern with a group: text, time, text, time, ..., text.
    parts = _TIME_TAG.split(line)
    starts = [start, *map(timing.clock_seconds, parts[1::2])]
    timed = [(text, begin) for part, begin in zip(parts[::2], starts, strict=True)
             if (text := _plain(part))]
    given = [begin for _, begin in timed]
    in_order = list(accumulate(given, max))
    remarks += Counter({'words with a time before that of the word in front: taken with it': sum(
        map(float.__ne__, in_order, given))})
    return timing.from_starts([text for text, _ in timed], in_order, end)
