"""Subtitles, .vtt and .srt, to words with times."""

import html
import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, groupby, takewhile
from pathlib import Path

from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.preparation.converters.timing import (
    Cue,
    Remarks,
    TimedText,
    arrange,
    clock_seconds,
    fill,
    from_starts,
    spread,
    tidy,
    with_remarks,
)
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
    r'</?[a-z][a-z0-9]*(?:\.[^\s<>]*)?'
    r'''(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*\s*/?>'''
    r'|<(?:v|lang)(?:\.[^\s<>]*)?\s[^<>]*>'
    rf'|<{_CLOCK}>'
    r'|{\\[^{}]*}', re.IGNORECASE)
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
        ImportError: If pysubs2 is not installed.
    """
    try:
        text = read_text(path)
    except (ValueError, OSError) as error:
        raise DropRecord('it cannot be read as subtitles in UTF-8') from error
    remarks: Remarks = Counter()
    cues = arrange(_cues(text, remarks), remarks)
    if any(_TIME_TAG.search(line) for lines, _, _ in cues for line in lines):
        given, guessed = _rolling_words(cues, True, remarks)
    else:
        given, guessed = _marked_words(cues) or _rolling_words(cues, False, remarks)
    meta: dict = {'source': path.suffix.lower().lstrip('.'),
                  'word_times': 'spread' if guessed else 'given'}
    if given and guessed:
        meta |= {'word_times': 'partly spread', 'spread_words': len(guessed)}
    return {'words': tidy(given + guessed, remarks), 'meta': with_remarks(meta, remarks)}


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
    try:
        import pysubs2
    except ImportError as error:
        raise ImportError('reading .vtt and .srt needs pysubs2: pip install pysubs2') from error
    behind = [_NUMBER] if numbered else [_MARK, _NUMBER]
    prepared = ['']
    for number, line in enumerate(text.split('\n'), 1):
        if '-->' in line:
            match = _TIME_LINE.fullmatch(line)
            if match is None:
                raise DropRecord('a line with "-->" has not the two times of a cue',
                                 place=f'line {number}')
            start, end = (pysubs2.time.ms_to_str(
                1000 * clock_seconds(time), fractions=True) for time in match.groups())
            prepared += [*([] if numbered else behind), f'{start} --> {end}', _MARK]
        # More than one blank line is one: its patterns take quadratic time over many.
        elif line or prepared[-1]:
            prepared.append(line.replace(':', _COLON))
    return pysubs2.SSAFile.from_string('\n'.join([*prepared, *behind]), format_='vtt',
                                       keep_html_tags=True).events


def _unnamed(lines: Sequence[str], is_last: bool) -> list[str]:
    """Lines between two cues of WebVTT without comments, styles and the name of the next cue."""
    blocks = [list(block) for filled, block in groupby(lines, key=lambda line: bool(line.strip()))
              if filled]
    if blocks and not is_last and lines[-1].strip() and len(blocks[-1]) == 1:
        blocks.pop()
    return [line for block in blocks for line in block
            if not block[0].startswith(('NOTE', 'STYLE', 'REGION'))]


def _plain(line: str) -> str:
    # Unescaped last: "&lt;" is text, not a tag.
    return html.unescape(_TAG.sub('', line)).replace('\\h', ' ').strip()


def _styled_words(text: str) -> list[tuple[str, str]]:
    """Words of a cue, each with the tags that are open at its first letter."""
    letters: list[tuple[str, str]] = []
    opened: list[str] = []
    position = 0
    for tag in [*_TAG.finditer(text), None]:
        part = text[position:tag.start() if tag else None]
        letters += [(letter, ''.join(opened))
                    for letter in html.unescape(part).replace('\\h', ' ')]
        if tag is None:
            break
        position = tag.end()
        if tag[0].startswith('</'):
            opened = opened[:-1]
        elif _STYLE_OFF.fullmatch(tag[0]):
            opened = []
        elif _STYLE_ON.fullmatch(tag[0]) or not tag[0].startswith('{'):
            # Nobody opens more; a hostile file that does would take quadratic time.
            opened = [*opened, tag[0].lower()][-8:]
    words = [list(word) for blank, word in groupby(letters, key=lambda each: each[0].isspace())
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
        if not any(marks[i] for i in run):
            for i in run:
                guessed += spread(sentences[i], *cues[i][1:])
            continue
        times: dict[int, TimedText] = {}
        for i in run:
            if marks[i] and marks[i] <= times.keys():
                # Marked from the start once more: the sentence is said again.
                _add_sentence(sentences[i], times, given, guessed)
                times = {}
            new = sorted(marks[i] - times.keys())
            said = spread([sentences[i][number] for number in new], *cues[i][1:])
            times |= zip(new, said, strict=True)
        _add_sentence(sentences[run[0]], times, given, guessed)
    return given, guessed


def _add_sentence(sentence: Sequence[str], times: dict[int, TimedText], given: list[TimedText],
                  guessed: list[TimedText]) -> None:
    """Add the words of a sentence; those that were never marked are spread between the others."""
    first = min(start for _, start, _ in times.values())
    words, _ = fill([('', first, first), *(times.get(number, (word, None, None))
                                           for number, word in enumerate(sentence))])
    for number, word in enumerate(words[1:]):
        (given if number in times else guessed).append(word)


def _rolling_words(cues: Sequence[Cue], timed_file: bool,
                   remarks: Remarks) -> tuple[list[TimedText], list[TimedText]]:
    """Words with times of their own, and words whose times are spread over a cue."""
    given: list[TimedText] = []
    guessed: list[TimedText] = []
    shown: list[str] = []
    for lines, start, end in cues:
        plain = [_plain(line) for line in lines]
        num_repeated = _num_repeated(plain, shown)
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
        guessed += spread(untimed, start, end)
        shown = plain or shown
    return given, guessed


def _num_repeated(lines: Sequence[str], shown: Sequence[str]) -> int:
    """How many of the first lines are the last lines of the cue before.

    Examples:
        >>> _num_repeated(['b', 'c'], ['a', 'b'])
        1
    """
    for count in range(min(len(lines), len(shown)), 0, -1):
        if list(lines[:count]) == list(shown[-count:]):
            return count
    return 0


def _timed_words(line: str, start: float, end: float, remarks: Remarks) -> list[TimedText]:
    """Words of a line such as ``so<00:01.92><c> it</c>``: a part starts at the tag before it."""
    # Split at a pattern with a group: text, time, text, time, ..., text.
    parts = _TIME_TAG.split(line)
    starts = [start, *map(clock_seconds, parts[1::2])]
    timed = [(text, begin) for part, begin in zip(parts[::2], starts, strict=True)
             if (text := _plain(part))]
    given = [begin for _, begin in timed]
    in_order = list(accumulate(given, max))
    if in_order != given:
        remarks['words with a time before that of the word in front: taken with it'] += sum(
            map(float.__ne__, in_order, given))
    return from_starts([text for text, _ in timed], in_order, end)
