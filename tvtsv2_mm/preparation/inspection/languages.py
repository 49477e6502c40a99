"""Which languages the texts of an annotation file are in."""

from collections.abc import Iterable, Iterator

# A shorter text, or one that another language fits almost as well, is not put down to any.
_MIN_LETTERS = 20
_MIN_PROBABILITY = 0.8
UNSURE = 'unsure'


def detect_languages(texts: Iterable[str]) -> Iterator[str]:
    """ISO 639-1 code of the language of each text; 'unsure' for short or mixed ones.

    Raises:
        ImportError: If py3langid is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise ImportError('finding the languages needs py3langid: pip install py3langid') from error
    identifier = LanguageIdentifier.from_pickled_model(MODEL_FILE, norm_probs=True)
    for text in texts:
        if sum(map(str.isalpha, text)) < _MIN_LETTERS:
            yield UNSURE
            continue
        language, probability = identifier.classify(text)
        yield language if probability >= _MIN_PROBABILITY else UNSURE
