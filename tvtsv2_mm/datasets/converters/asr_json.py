"""Output of speech recognisers in json (Whisper and its kin, vosk) to words with times."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tvtsv2_mm.datasets.converters.report import DropRecord
from tvtsv2_mm.datasets.converters.timing import TimedText, spread, tidy

PATTERNS = ('*.json', )


def read_asr_json(path: Path) -> dict:
    """Read the json of one video or recording.

    Known are Whisper and what follows its format (whisper-timestamped, WhisperX, faster-whisper:
    ``segments`` with ``text``, ``start``, ``end`` and maybe ``words``) and vosk (a list of results,
    each with its words under ``result`` or ``words``). Where every segment has words, words are
    given; else segments. Words that WhisperX could not time are spread between their neighbours.

    Returns:
        ``words`` or ``segments``, and ``meta``, as in the transcript format.

    Raises:
        DropRecord: If it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        if isinstance(content, dict) and 'segments' in content:
            return _from_whisper(content)
        return _from_vosk(content if isinstance(content, list) else [content])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DropRecord('it is neither the json of Whisper nor that of vosk') from error


def _from_whisper(content: dict) -> dict:
    segments = content['segments']
    meta = {'source': 'whisper'}
    if content.get('language'):
        meta['language'] = content['language']
    if segments and all(segment.get('words') for segment in segments):
        words = [word for segment in segments for word in _fill_times(
            [_word(word) for word in segment['words']], segment['start'], segment['end'])]
        return {'words': tidy(words), 'meta': meta | {'word_times': 'given'}}
    cues = [(segment['text'], segment['start'], segment['end']) for segment in segments]
    return {'segments': tidy(cues), 'meta': meta}


def _from_vosk(results: list[dict]) -> dict:
    words = [_word(word) for result in results
             for word in result.get('result', result.get('words')) or ()]
    if not words and not all('text' in result for result in results):
        raise ValueError('there are no words')
    return {'words': tidy(words), 'meta': {'source': 'vosk', 'word_times': 'given'}}


def _word(word: dict[str, Any]) -> tuple[str, float | None, float | None]:
    text = word['word'] if 'word' in word else word['text']
    return text, word.get('start'), word.get('end')


def _fill_times(words: Iterable[tuple[str, float | None, float | None]], start: float,
                end: float) -> list[TimedText]:
    """Spread words without times over the pause that they stand in."""
    timed: list[TimedText] = []
    waiting: list[str] = []
    last = start
    for text, word_start, word_end in [*words, ('', end, end)]:
        if word_start is None or word_end is None:
            waiting.append(text)
            continue
        timed += spread(waiting, last, max(last, word_start))
        timed.append((text, word_start, word_end))
        waiting, last = [], word_end
    return timed
