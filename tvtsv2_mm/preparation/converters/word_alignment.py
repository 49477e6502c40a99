"""Give the words of a cleaned transcript the times of the raw one that it was made from.

YT-Temporal's authors align the two by dynamic time warping (DTW) over the edit distances between
words. DTW has no gaps, only repetitions: a word that was added or dropped has to be matched to
something, and the result mended afterwards. The alignment that means "words were changed, added,
dropped" is the edit script of the two word sequences, the same dynamic programme with gaps.
``rapidfuzz`` computes it exactly, in compiled code that handles 64 words an operation.
"""

from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise

from tvtsv2_mm.preparation.converters.timing import TimedText
from tvtsv2_mm.utils.extras import needed_for

# Nobody speaks faster: what a language model added where there is no time for it was not said.
_SHORTEST_WORD_S = 0.05
# ... but the recogniser may have missed a few short words.
_ALWAYS_KEPT = 3


def transfer_times(raw: Sequence[TimedText], cleaned: Sequence[str]) -> list[TimedText]:
    """Align two versions of a transcript and time the second by the first.

    A word that is the same in both (letters and digits, any case) keeps its time. A run of changed
    words shares the time of the raw words in its place, longer words more of it; a run of added
    words the pause between its neighbours. A run that nobody could say in its time is left out
    (language models go on where the speech has ended).

    Args:
        raw: Words as recognised, with times, in order.
        cleaned: Words of the cleaned text.

    Returns:
        The cleaned words with times, in order.

    Raises:
        MissingPackageError: If rapidfuzz is not installed.

    Examples:
        >>> transfer_times([('so', 0.0, 0.4), ('pan', 0.5, 0.7), ('cakes', 0.7, 1.0)],
        ...                ['So,', 'pancakes!'])
        [('So,', 0.0, 0.4), ('pancakes!', 0.5, 1.0)]
    """
    with needed_for('aligning words'):
        from rapidfuzz.distance import Levenshtein
    opcodes = Levenshtein.opcodes([_letters(word) for word, _, _ in raw],
                                  [_letters(word) for word in cleaned])
    timed: list[TimedText] = []
    # Neighbouring changes are one: which word became which is not known.
    for is_equal, group in groupby(opcodes, key=lambda change: change.tag == 'equal'):
        changes = list(group)
        raw_start, raw_stop = changes[0].src_start, changes[-1].src_end
        words = cleaned[changes[0].dest_start:changes[-1].dest_end]
        if is_equal:
            times = raw[raw_start:raw_stop]
            timed += [(word, *time[1:]) for word, time in zip(words, times, strict=True)]
        else:
            timed += _share(words, *_window(raw, raw_start, raw_stop), raw_stop - raw_start)
    return timed


def _letters(word: str) -> str:
    return ''.join(filter(str.isalnum, word.lower()))


def _window(raw: Sequence[TimedText], first: int, stop: int) -> tuple[float, float]:
    """From when to when ``raw[first:stop]`` lasts; the pause before ``raw[first]`` if it is empty.

    Before the first and after the last word no pause is known: there it lasts no time.
    """
    if first < stop:
        return raw[first][1], raw[stop - 1][2]
    start = raw[first - 1][2] if first else raw[0][1]
    end = raw[first][1] if first < len(raw) else start
    return start, max(start, end)


def _share(words: Sequence[str], start: float, end: float, num_raw: int) -> list[TimedText]:
    """Cut the time from start to end by the lengths of the words; nothing if they are too many."""
    if not words or len(words) > num_raw + max(_ALWAYS_KEPT, (end - start) / _SHORTEST_WORD_S):
        return []
    passed = list(accumulate(map(len, words), initial=0))
    times = [start + (end - start) * letters / passed[-1] for letters in passed]
    return [(word, *time) for word, time in zip(words, pairwise(times), strict=True)]
