"""Subtitles, .vtt and .srt, to words with times."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

from tvtsv2_mm.datasets.converters.report import DropRecord
from tvtsv2_mm.datasets.converters.timing import TimedText, from_starts, spread, tidy

PATTERNS = ('*.vtt', '*.srt')

# Lines of a cue, its start and end in seconds.
Cue = tuple[list[str], float, float]

# WebVTT: <00:00:01.920> inside a cue is the time of what follows (hours may be left out). A line
# with two of them looks to pysubs2 like the head of a cue, so it gets them written as <t=1.92>.
_WEBVTT_TIME = re.compile(r'<(?:(\d+):)?(\d{2}):(\d{2}\.\d{3})>')
_TIME_TAG = re.compile(r'<t=([\d.]+)>')
# Whisper's --highlight_words shows a sentence once for each word, which is underlined.
_HIGHLIGHT = re.compile(r'<u>(.*?)</u>')
_OTHER_TAG = re.compile(r'<[^>]*>|{\\[^}]*}')
# Automatic captions of YouTube show each finished line once more, for 10 ms.
_FLASH_S = 0.05


def read_subtitles(path: Path) -> dict:
    """Read a subtitle file.

    Words take their times from the file where it has them (YouTube's automatic captions, Whisper's
    highlighted words), else the words of a cue are spread evenly over it; ``meta`` says which:
    ``word_times`` is 'given', 'spread', or 'partly spread' (and then how many: ``spread_words``).
    Lines that a rolling caption shows again are taken once.

    Returns:
        ``words`` and ``meta``, as in the transcript format.

    Raises:
        DropRecord: If it is no subtitle file.
        ImportError: If pysubs2 is not installed.
    """
    try:
        import pysubs2
    except ImportError as error:
        raise ImportError('reading .vtt and .srt needs pysubs2: pip install pysubs2') from error
    try:
        text = _WEBVTT_TIME.sub(_in_seconds, path.read_text(encoding='utf-8-sig'))
        kind = path.suffix.lower().lstrip('.')
        events = pysubs2.SSAFile.from_string(text, format_=kind, keep_html_tags=True).events
    except (UnicodeDecodeError, pysubs2.Pysubs2Error) as error:
        raise DropRecord('it cannot be read as subtitles in UTF-8') from error
    cues = [(_lines(event.text), event.start / 1000, event.end / 1000) for event in events]
    given, guessed = _highlighted_words(cues) or _words(cues)
    meta: dict = {'source': kind, 'word_times': 'spread' if guessed else 'given'}
    if given and guessed:
        meta |= {'word_times': 'partly spread', 'spread_words': len(guessed)}
    return {'words': tidy(given + guessed), 'meta': meta}


def _in_seconds(match: re.Match) -> str:
    hours, minutes, seconds = match.groups()
    return f'<t={3600 * int(hours or 0) + 60 * int(minutes) + float(seconds):.3f}>'


def _lines(text: str) -> list[str]:
    """Lines of a cue; what follows an empty line is a comment or the name of the next cue."""
    payload = text.partition('\\N\\N')[0]
    return [line for line in payload.split('\\N') if line.strip()]


def _plain(line: str) -> str:
    # Unescaped last: "&lt;" is text, not a tag.
    return html.unescape(_OTHER_TAG.sub('', line)).replace('\\h', ' ').strip()


def _highlighted_words(cues: Sequence[Cue]) -> tuple[list[TimedText], list[TimedText]] | None:
    """Words of a file that underlines them one by one, as :func:`_words`; None of another file.

    Between two words the sentence is shown without a line; text that never has one is spread.
    """
    texts = [' '.join(lines) for lines, _, _ in cues]
    plain = [_plain(text) for text in texts]
    highlights = [_HIGHLIGHT.findall(text) for text in texts]
    # One underlined word alone is emphasis: here the same sentence comes again with another one.
    if not any(highlights[i] and highlights[i - 1] and plain[i] == plain[i - 1]
               and texts[i] != texts[i - 1] for i in range(1, len(cues))):
        return None
    known = {text for text, found in zip(plain, highlights, strict=True) if found}
    given: list[TimedText] = []
    guessed: list[TimedText] = []
    for (_, start, end), text, found in zip(cues, plain, highlights, strict=True):
        if found:
            given += spread([_plain(word) for word in found], start, end)
        elif text not in known:
            guessed += spread(text.split(), start, end)
    return given, guessed


def _words(cues: Sequence[Cue]) -> tuple[list[TimedText], list[TimedText]]:
    """Words with times of their own, and words whose times are spread over a cue."""
    timed_file = any(_TIME_TAG.search(line) for lines, _, _ in cues for line in lines)
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
                given += _timed_words(line, start, end)
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


def _timed_words(line: str, start: float, end: float) -> list[TimedText]:
    """Words of a line such as ``so<t=1.92><c> it</c>``: a part starts at the tag before it."""
    # Split at a pattern with a group: text, seconds, text, seconds, ..., text.
    parts = _TIME_TAG.split(line)
    starts = [start, *map(float, parts[1::2])]
    timed = [(text, begin) for part, begin in zip(parts[::2], starts, strict=True)
             if (text := _plain(part))]
    return from_starts([text for text, _ in timed], [begin for _, begin in timed], end)
