"""Times of words: tidied, spread over a cue, or from starts alone."""

import math
from collections.abc import Iterable, Sequence

TimedText = tuple[str, float, float]

# Sources that know only when a word starts: a pause after it is not part of the word.
LONGEST_WORD_S = 1.0


def tidy(texts: Iterable[TimedText]) -> list[list]:
    """Make ``[text, start, end]`` as the annotation format wants them.

    Empty texts and those without a finite time are left out. Blanks are stripped, starts are at
    least 0 and ends not before them, all is in the order of starts, rounded to milliseconds.

    Examples:
        >>> tidy([(' so', 1.0, 0.9), ('', 1.0, 1.2), ('and', -0.01, 0.3)])
        [['and', 0.0, 0.3], ['so', 1.0, 1.0]]
    """
    timed = []
    for text, start, end in texts:
        text = ' '.join(text.split())
        if text and math.isfinite(start) and math.isfinite(end):
            start = round(max(float(start), 0.0), 3)
            timed.append([text, start, round(max(float(end), start), 3)])
    return sorted(timed, key=lambda entry: entry[1])


def spread(words: Sequence[str], start: float, end: float) -> list[TimedText]:
    """Give n words equal parts of a cue.

    Examples:
        >>> spread(['moving', 'left'], 2.0, 3.0)
        [('moving', 2.0, 2.5), ('left', 2.5, 3.0)]
    """
    part = (end - start) / max(len(words), 1)
    return [(word, start + i * part, start + (i + 1) * part) for i, word in enumerate(words)]


def from_starts(words: Sequence[str], starts: Sequence[float], stop: float) -> list[TimedText]:
    """Give words with known starts an end: where the next one starts, or a second later.

    Args:
        words: N words.
        starts: Their N starts, seconds, not decreasing.
        stop: Where the last word ends at the latest.

    Examples:
        >>> from_starts(['go', 'left'], [0.5, 3.0], 3.4)
        [('go', 0.5, 1.5), ('left', 3.0, 3.4)]
    """
    ends = [*starts[1:], stop]
    return [(word, start, max(start, min(end, start + LONGEST_WORD_S)))
            for word, start, end in zip(words, starts, ends, strict=True)]
