"""Times of words and cues: checked, put in order, spread over a cue, or from starts alone.

What is odd about them is mended as little as the format needs, and counted in ``remarks``: of how
many words or cues what became. A record has them under ``meta.remarks``; the report sums them up.
"""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tvtsv2_mm.preparation.converters.report import DropRecord

TimedText = tuple[str, float, float]
# A text and its start and end in seconds, as far as they are known.
MaybeTimed = tuple[str, float | None, float | None]
# Lines of a cue, its start and end in seconds.
Cue = tuple[list[str], float, float]
Remarks = Counter[str]

# Sources that know only when a word starts: a pause after it is not part of the word.
LONGEST_WORD_S = 1.0
# A cue of which only the start is known lasts until the next one, but not longer.
LONGEST_CUE_S = 5.0


def seconds(value: Any) -> float | None:
    """A time as far as it is known: recognisers write null or NaN where there is none.

    Raises:
        TypeError: It is no number.
    """
    if value is None:
        return None
    if type(value) not in (int, float):
        raise TypeError(f'{value!r} is no time')
    return float(value) if abs(value) <= sys.float_info.max else None


def clock_seconds(time: float | str) -> float:
    """Seconds of a time in seconds, or as ``mm:ss.s``, ``h:mm:ss,s``."""
    total = 0.0
    for part in str(time).split(':'):
        total = 60 * total + float(part.replace(',', '.'))
    return total


def arrange(cues: Iterable[tuple[list[str], float | None, float | None]],
            remarks: Remarks) -> list[Cue]:
    """Put cues in the order of their starts, such that the words of each stay together.

    A cue ends where the next one starts, at the latest: so two speakers' words do not mingle, and a
    line that stays on the screen below the next one is not said all that time. Cues of one start
    become one, in the order of the file.

    Examples:
        >>> arrange([(['b'], 2.0, 4.0), (['a'], 1.0, 5.0)], Counter())
        [(['a'], 1.0, 2.0), (['b'], 2.0, 4.0)]
    """
    known = []
    for lines, start, end in cues:
        if not any(map(str.strip, lines)):
            continue
        if start is not None and end is None:
            remarks[f'cues without an end: until the next one, {LONGEST_CUE_S:g} s at most'] += 1
            end = start + LONGEST_CUE_S
        times = _checked(start, end, 'cues', remarks)
        if times is not None:
            known.append((lines, *times))
    arranged: list[Cue] = []
    for lines, start, end in sorted(known, key=lambda cue: cue[1]):
        if arranged:
            earlier, earlier_start, earlier_end = arranged.pop()
            if earlier_start < start:
                arranged.append((earlier, earlier_start, min(earlier_end, start)))
            elif earlier == lines:
                remarks['cues that are there twice: taken once'] += 1
                end = max(earlier_end, end)
            else:
                lines, end = earlier + lines, max(earlier_end, end)
        arranged.append((lines, start, end))
    return arranged


def as_segments(cues: Iterable[MaybeTimed], remarks: Remarks) -> list[list]:
    """Make ``segments`` of cues, see :func:`arrange`."""
    arranged = arrange((([text], start, end) for text, start, end in cues), remarks)
    return tidy((' '.join(texts), start, end) for texts, start, end in arranged)


def as_words(words: Iterable[MaybeTimed], num_spread: int, meta: dict, remarks: Remarks) -> dict:
    """Make ``words`` and ``meta``, which says whether their times are given or spread over cues."""
    result = tidy(words, remarks)
    meta = meta | {'word_times': 'spread' if num_spread else 'given'}
    if num_spread not in (0, len(result)):
        meta |= {'word_times': 'partly spread', 'spread_words': num_spread}
    return {'words': result, 'meta': with_remarks(meta, remarks)}


def tidy(texts: Iterable[MaybeTimed], remarks: Remarks | None = None) -> list[list]:
    """Make ``[text, start, end]`` as the annotation format wants them.

    Empty texts and those without a finite time are left out. Blanks are stripped, starts are at
    least 0 and ends not before them, all is in the order of starts, rounded to milliseconds.

    Examples:
        >>> tidy([(' so', 1.0, 0.9), ('', 1.0, 1.2), ('and', -0.01, 0.3)])
        [['and', 0.0, 0.3], ['so', 1.0, 1.0]]
    """
    remarks = Counter() if remarks is None else remarks
    timed: dict[tuple[str, float, float, int], None] = {}
    for text, start, end in texts:
        text = ' '.join(text.split())
        times = _checked(start, end, 'words', remarks) if text else None
        if times is None:
            continue
        start, end = (round(time, 3) for time in times)
        # Several words may well share one moment; one that lasts is said once in its time.
        entry = (text, start, end, 0 if end > start else len(timed))
        if entry in timed:
            remarks['words that are there twice: taken once'] += 1
        timed[entry] = None
    return sorted(([*entry[:3]] for entry in timed), key=lambda entry: entry[1])


def in_video(annotation: dict) -> dict:
    """Leave out what starts at the end of the video or later, and end there what goes on.

    Raises:
        DropRecord: No word is left.
    """
    key = 'words' if 'words' in annotation else 'segments'
    duration = annotation['duration']
    meta = annotation.get('meta', {})
    remarks = Counter(meta.get('remarks'))
    kept = []
    for text, start, end in annotation[key]:
        words = text.split() if key == 'segments' else [text]
        said = [word for word, begin, _ in spread(words, start, end) if begin < duration]
        if said:
            kept.append([' '.join(said), start, min(end, duration)])
        if len(said) < len(words):
            remarks['words beyond the end of the video: left out'] += len(words) - len(said)
        elif end > duration:
            remarks[f'{key} partly beyond the end of the video: they end there'] += 1
    if not kept:
        raise DropRecord('it has no word' + ''.join(f' ({remark})' for remark in sorted(remarks)))
    return annotation | {key: kept, 'meta': with_remarks(meta, remarks)}


def with_remarks(meta: dict, remarks: Remarks) -> dict:
    """The ``meta`` of a record with what was odd about its words."""
    return meta | ({'remarks': dict(remarks)} if remarks else {})


def with_ends(words: Sequence[MaybeTimed], remarks: Remarks) -> list[MaybeTimed]:
    """End words of which the start alone is known where the next one starts, or a second later.

    Examples:
        >>> with_ends([('so', 1.0, None), ('it', 1.5, 2.0), ('is', 3.0, None)], Counter())
        [('so', 1.0, 1.5), ('it', 1.5, 2.0), ('is', 3.0, 4.0)]
    """
    ended: list[MaybeTimed] = []
    following = math.inf
    for text, start, end in reversed(words):
        if start is not None:
            if end is None:
                remarks['words without an end: until the next one, '
                        f'{LONGEST_WORD_S:g} s at most'] += 1
                [(_, _, end)] = from_starts([text], [start], following)
            following = start
        ended.append((text, start, end))
    return ended[::-1]


def fill(words: Iterable[MaybeTimed]) -> tuple[list[TimedText], int]:
    """Spread words without times over the pause that they stand in; say how many these are.

    Examples:
        >>> fill([('at', 1.0, 2.0), ('1984', None, None), ('it', 3.0, 4.0)])
        ([('at', 1.0, 2.0), ('1984', 2.0, 3.0), ('it', 3.0, 4.0)], 1)
    """
    timed: list[TimedText] = []
    waiting: list[str] = []
    num_spread, last = 0, 0.0
    for text, start, end in words:
        if start is not None and end is not None:
            timed += spread(waiting, last, max(last, start))
            num_spread += len(waiting)
            waiting, last = [], max(start, end)
            timed.append((text, start, end))
        elif text.strip():
            waiting.append(text)
    # Nothing says how long the speech behind the last known time goes on.
    timed += spread(waiting, last, last)
    return timed, num_spread + len(waiting)


def spread(words: Sequence[str], start: float, end: float) -> list[TimedText]:
    """Give n words equal parts of a cue."""
    part = (end - start) / max(len(words), 1)
    return [(word, start + i * part, start + (i + 1) * part) for i, word in enumerate(words)]


def from_starts(words: Sequence[str], starts: Sequence[float], stop: float) -> list[TimedText]:
    """Give words with known starts an end: where the next one starts, or a second later.

    Starts do not decrease; the last word ends at ``stop`` at the latest.

    Examples:
        >>> from_starts(['go', 'left'], [0.5, 3.0], 3.4)
        [('go', 0.5, 1.5), ('left', 3.0, 3.4)]
    """
    ends = [*starts[1:], stop]
    return [(word, start, max(start, min(end, start + LONGEST_WORD_S)))
            for word, start, end in zip(words, starts, ends, strict=True)]


def _checked(start: float | None, end: float | None, unit: str,
             remarks: Remarks) -> tuple[float, float] | None:
    """Start and end of a word or a cue as the format wants them; None to leave it out."""
    if start is None or end is None or not (math.isfinite(start) and math.isfinite(end)):
        remarks[f'{unit} without a time: left out'] += 1
        return None
    if end < start:
        remarks[f'{unit} that end before they start: taken at their start'] += 1
        end = start
    if end < 0:
        remarks[f'{unit} before the start of the video: left out'] += 1
        return None
    return max(float(start), 0.0), max(float(end), 0.0)
