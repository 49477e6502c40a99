"""Output of speech recognisers in json (Whisper and its kin, vosk, ...) to words with times."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tvtsv2_mm.preparation.converters import timing
from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.preparation.converters.timing import MaybeTimed, Remarks

# Times that go back by more are no slip of a recogniser: windows of its own whose times restart.
_LARGEST_STEP_BACK_S = 1.0
# Nobody speaks so slowly for a whole video: times in milliseconds are a thousand times too long.
_SLOWEST_WORD_S = 10.0


def read_asr_json(path: Path) -> dict:
    """Read the json of one video or recording.

    Known are

    - Whisper and what follows its format (whisper-timestamped, WhisperX, faster-whisper, OpenAI's
      ``verbose_json``): ``segments`` with ``text``, ``start``, ``end`` and maybe ``words``;
      ``words`` or ``word_segments`` beside them; or the list of segments alone;
    - ``chunks`` with pairs under ``timestamp``, of the pipeline of transformers;
    - lists with ``start`` and ``duration``, of youtube-transcript-api;
    - vosk: a list of results, each with its words under ``result`` or ``words``;
    - AssemblyAI: ``words`` (or those of ``utterances``) in whole milliseconds, beside a
      ``status`` or an ``audio_duration``.

    Where there are words, words are given; else segments. Words without times (WhisperX cannot time
    numerals, nor segments that it fails to align) are spread between their neighbours; ``meta``
    says how many.

    Returns:
        ``words`` or ``segments``, and ``meta``, as in the transcript format.

    Raises:
        DropRecord: If it is something else, its times go back, or their unit is not clear.
    """
    remarks: Remarks = Counter()
    try:
        content = json.loads(path.read_bytes())
        source, segments, words = _parts(content, remarks)
        meta = {'source': source}
        if source == 'whisper' and isinstance(content, dict) and content.get('language'):
            meta['language'] = content['language']
        if any(segment.get('words') for segment in segments):
            timed = [word for segment in segments for word in _words_of(segment)]
        elif words:
            timed = [_word(word) for word in words]
        else:
            cues = [_timed(segment, segment['text'] or '') for segment in segments]
            _check_times(cues)
            segments = timing.as_segments(cues, remarks)
            return {'segments': segments, 'meta': timing.with_remarks(meta, remarks)}
        spoken = _num_spoken(segment.get('text') for segment in segments)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError,
            OverflowError) as error:
        raise DropRecord('it is not the json of a speech recogniser that is known') from error
    lost = spoken - _num_spoken(text for text, _, _ in timed)
    remarks += Counter({'words of segments that are not among those with times: left out': lost})
    timed = timing.with_ends(timed, remarks)
    _check_times(timed)
    filled, num_spread = timing.fill(timed)
    return timing.as_words(filled, num_spread, meta, remarks)


def _parts(content: Any, remarks: Remarks) -> tuple[str, list[dict], list[dict]]:
    """Name of the format, its segments and its words (either may be none)."""
    if isinstance(content, dict):
        if 'segments' in content or 'word_segments' in content:
            words = content.get('words') or content.get('word_segments') or []
            return 'whisper', content.get('segments') or [], words
        if 'chunks' in content:
            chunks = [{'text': chunk['text'], 'start': start, 'end': end}
                      for chunk in content['chunks']
                      for start, end in [chunk.get('timestamp') or (None, None)]]
            by_word = all(len(chunk['text'].split()) <= 1 for chunk in chunks)
            return ('transformers', [], chunks) if by_word else ('transformers', chunks, [])
        words = content.get('words') or [
            word for part in content.get('utterances') or () for word in part['words']]
        if words and ('audio_duration' in content or 'status' in content) and all(
                type(word[key]) is int for word in words for key in ('start', 'end')):
            return 'assemblyai', [], [word | {key: word[key] / 1000 for key in ('start', 'end')}
                                      for word in words]
        content = [content]
    if any('duration' in item for item in content):
        return 'youtube', [item | {'end': _end_of(item)} for item in content], []
    if any('start' in item and ('word' in item or 'text' in item) for item in content):
        return ('whisper', [], content) if 'word' in content[0] else ('whisper', content, [])
    words = [word for result in content for word in result.get('result', result.get('words')) or ()]
    silent = [result for result in content if not (result.get('result') or result.get('words'))]
    remarks += Counter({'words without a time: left out': sum(
        len(result['text'].split()) for result in silent)})
    return 'vosk', [], words


def _num_spoken(texts: Iterable[str | None]) -> int:
    return sum(any(map(str.isalnum, word)) for text in texts for word in (text or '').split())


def _end_of(item: dict) -> float | None:
    start, duration = timing.seconds(item.get('start')), timing.seconds(item.get('duration'))
    return None if start is None or duration is None else start + duration


def _words_of(segment: dict) -> list[MaybeTimed]:
    """Words of a segment, between its start and its end: two empty words, which bound a spread."""
    _, start, end = _timed(segment, '')
    words = [_word(word) for word in segment.get('words') or ()]
    if not words:
        words = [(text, None, None) for text in (segment['text'] or '').split()]
    return [('', start, start), *words, ('', end, end)]


def _word(word: dict[str, Any]) -> MaybeTimed:
    text = word['word'] if 'word' in word else word['text']
    if not isinstance(text, str):
        raise TypeError(f'{text!r} is no word')
    return _timed(word, text)


def _timed(item: dict[str, Any], text: str) -> MaybeTimed:
    return text, timing.seconds(item.get('start')), timing.seconds(item.get('end'))


def _check_times(texts: Sequence[MaybeTimed]) -> None:
    """Refuse times that are not those of one speech in seconds."""
    known = [(text, start, end) for text, start, end in texts
             if start is not None and end is not None]
    for number, ((_, start, _), (_, _, end)) in enumerate(pairwise(known), 2):
        if end < start - _LARGEST_STEP_BACK_S:
            raise DropRecord('its times go back: those of several recordings?',
                             place=f'entry {number} ({end:g} s behind {start:g} s)')
    whole = all(start.is_integer() and end.is_integer() for _, start, end in known)
    slowest = _SLOWEST_WORD_S * sum(len(text.split()) for text, _, _ in known)
    if whole and sum(max(end - start, 0) for _, start, end in known) > slowest:
        raise DropRecord('its times are whole numbers and too long for seconds: milliseconds?')
