"""Output of speech recognisers in json (Whisper and its kin, vosk) to words with times."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tvtsv2_mm.datasets.converters.report import DropRecord
from tvtsv2_mm.datasets.converters.timing import TimedText, spread, tidy

PATTERNS = ('*.json', )

# A word and its start and end in seconds, as far as they are known.
MaybeTimed = tuple[str, float | None, float | None]


def read_asr_json(path: Path) -> dict:
    """Read the json of one video or recording.

    Known are Whisper and what follows its format (whisper-timestamped, WhisperX, faster-whisper:
    ``segments`` with ``text``, ``start``, ``end`` and maybe ``words``, or ``word_segments``) and
    vosk (a list of results, each with its words under ``result`` or ``words``). Where there are
    words, words are given; else segments. Words without times (WhisperX cannot time numerals, nor
    segments that it fails to align) are spread between their neighbours; ``meta`` says how many.

    Returns:
        ``words`` or ``segments``, and ``meta``, as in the transcript format.

    Raises:
        DropRecord: If it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        if isinstance(content, dict) and ('segments' in content or 'word_segments' in content):
            return _from_whisper(content)
        return _from_vosk(content if isinstance(content, list) else [content])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DropRecord('it is neither the json of Whisper nor that of vosk') from error


def _from_whisper(content: dict) -> dict:
    segments = content.get('segments', ())
    meta = {'source': 'whisper'}
    if content.get('language'):
        meta['language'] = content['language']
    if any(segment.get('words') for segment in segments):
        words = [word for segment in segments for word in _words_of(segment)]
    elif content.get('word_segments'):
        words = [_word(word) for word in content['word_segments']]
    else:
        cues = [(segment['text'], segment['start'], segment['end']) for segment in segments]
        return {'segments': tidy(cues), 'meta': meta}
    return _timed(words, meta)


def _from_vosk(results: list[dict]) -> dict:
    words = [_word(word) for result in results
             for word in result.get('result', result.get('words')) or ()]
    if not words and not all('text' in result for result in results):
        raise ValueError('there are no words')
    return _timed(words, {'source': 'vosk'})


def _words_of(segment: dict) -> list[MaybeTimed]:
    """Words of a segment, between its start and its end: two empty words, which bound a spread."""
    start, end = _seconds(segment.get('start')), _seconds(segment.get('end'))
    words = [_word(word) for word in segment.get('words') or ()]
    if not words:
        words = [(text, None, None) for text in segment['text'].split()]
    return [('', start, start), *words, ('', end, end)]


def _word(word: dict[str, Any]) -> MaybeTimed:
    text = word['word'] if 'word' in word else word['text']
    return text, _seconds(word.get('start')), _seconds(word.get('end'))


def _seconds(value: float | None) -> float | None:
    """A time as it is known: older recognisers write NaN where there is none."""
    return None if value is None or not math.isfinite(value) else value


def _timed(words: Iterable[MaybeTimed], meta: dict) -> dict:
    timed, num_spread = _fill_times(words)
    timed = tidy(timed)
    if not num_spread:
        return {'words': timed, 'meta': meta | {'word_times': 'given'}}
    if num_spread == len(timed):
        return {'words': timed, 'meta': meta | {'word_times': 'spread'}}
    return {'words': timed,
            'meta': meta | {'word_times': 'partly spread', 'spread_words': num_spread}}


def _fill_times(words: Iterable[MaybeTimed]) -> tuple[list[TimedText], int]:
    """Spread words without times over the pause that they stand in; say how many these are."""
    timed: list[TimedText] = []
    waiting: list[str] = []
    num_spread, last = 0, 0.0
    for text, start, end in words:
        if start is not None and end is not None:
            timed += spread(waiting, last, max(last, start))
            num_spread += len(waiting)
            waiting, last = [], end
            timed.append((text, start, end))
        elif text.strip():
            waiting.append(text)
    # Nothing says how long the speech behind the last known time goes on.
    timed += spread(waiting, last, last)
    return timed, num_spread + len(waiting)
