"""Which languages the texts of an annotation file are in."""

import math
from collections.abc import Iterable, Iterator

from tvtsv2_mm.utils.extras import needed_for

# A shorter text, or one that another language fits almost as well, is not put down to any. (The
# probabilities of py3langid itself changed their meaning between 0.2 and 0.4.)
_MIN_LETTERS = 20
_MIN_ODDS = 4.0
UNSURE = 'unsure'


def detect_languages(texts: Iterable[str]) -> Iterator[str]:
    """ISO 639 code of the language of each text; 'unsure' for short or mixed ones.

    Raises:
        MissingPackageError: If py3langid is not installed.
    """
    with needed_for('finding the languages'):
        from py3langid import rank
    for text in texts:
        if sum(map(str.isalpha, text)) < _MIN_LETTERS:
            yield UNSURE
            continue
        (language, likelihood), (_, other) = rank(text)[:2]  # as logarithms
        yield language if likelihood - other >= math.log(_MIN_ODDS) else UNSURE
