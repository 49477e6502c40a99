"""YT-Temporal-180M to the transcript format."""

import gzip
import html
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tvtsv2_mm.datasets.annotations import LONGEST, check_transcript
from tvtsv2_mm.preparation.converters import report, timing
from tvtsv2_mm.preparation.converters.report import ConversionReport, DropRecord
from tvtsv2_mm.preparation.converters.timing import Remarks, TimedText
from tvtsv2_mm.preparation.converters.videos import VideoIndex, probe_duration
from tvtsv2_mm.preparation.converters.word_alignment import transfer_times
from tvtsv2_mm.utils.extras import needed_for


def convert_yt_temporal(sources: Iterable[str | Path], output: str | Path, *,
                        videos: str | Path, workers: int = 1) -> ConversionReport:
    """Convert YT-Temporal's json, one object a video: ``info``, ``subtitles`` and ``denoised``.

    ``subtitles`` (``{"word", "time"}``, raw speech recognition) has the times, ``denoised``
    (``cleanasr``) the better text; they are aligned here, once (see ``word_alignment``). Where
    there is no ``denoised`` the raw words are taken, and the record's ``meta`` says so.

    Args:
        sources: ``.json`` files (a video each), ``.jsonl`` or ``.jsonl.gz`` files (a video a line),
            or folders, in which all of these are taken.
        output: The annotation file.
        videos: Folder of the videos, in any layout: they are found by ``info.id``.
        workers: Processes.

    Raises:
        FileNotFoundError: If a source, or the folder of videos, is missing or empty.
    """
    files = list(_files(sources))
    make = partial(_to_annotation, videos=VideoIndex(videos))
    return report.convert(_records(files), make, output, check=check_transcript,
                          source=report.fingerprint(files, str(videos)), workers=workers)


def _to_annotation(source: Path | bytes | None, videos: VideoIndex) -> dict:
    """Make an annotation of a ``.json`` file or a line of a ``.jsonl``; None cannot be read."""
    if source is None:
        raise DropRecord('the rest of its file cannot be read')
    try:
        record = json.loads(source.read_bytes() if isinstance(source, Path) else source)
    except OSError as error:
        raise DropRecord(f'its file cannot be read ({error.strerror})') from error
    except (ValueError, RecursionError) as error:
        raise DropRecord('it is not valid JSON') from error
    if not isinstance(record, dict) or not isinstance(record.get('info'), dict):
        raise DropRecord('it has no "info"')
    name = record['info'].get('id')
    if not isinstance(name, str) or not name:
        raise DropRecord('its "info" has no "id"')
    path = videos.find(name)
    duration: Any = record['info'].get('duration')
    if type(duration) not in (int, float) or not 0 < duration <= LONGEST:
        duration = probe_duration(videos.root / path)
    remarks: Remarks = Counter()
    raw = _raw_words(record.get('subtitles'), float(duration), remarks)
    cleaned = _cleaned_words(record.get('denoised'))
    words = transfer_times(raw, cleaned) if cleaned else raw
    remarks += Counter({'words of the cleaned text that nobody could say in their time: left out':
                        len(cleaned) - len(words) if cleaned else 0})
    meta = {'source': 'YT-Temporal-180M', 'text': 'denoised' if cleaned else 'raw'}
    return timing.in_video({
        'path': path, 'duration': duration, 'words': timing.tidy(words, remarks), 'id': name,
        'meta': timing.with_remarks(meta, remarks)})


def _raw_words(subtitles: Any, duration: float, remarks: Remarks) -> list[TimedText]:
    words = []
    for entry in subtitles if isinstance(subtitles, list) else []:
        try:
            time, text = timing.seconds(entry['time']), _mended(entry['word'])
        except (KeyError, TypeError, AttributeError) as error:
            raise DropRecord('its "subtitles" are not a list of words with times') from error
        # "&gt;&gt;" marks a new speaker; unescaped it has no letter, and is no word.
        word = html.unescape(text).strip()
        if time is None:
            remarks['words without a time: left out'] += 1
        elif any(map(str.isalnum, word)):
            words.append((time, word))
    if not words:
        raise DropRecord('its "subtitles" have no word')
    words.sort(key=lambda timed: timed[0])
    starts = [start for start, _ in words]
    return timing.from_starts([word for _, word in words], starts, max(duration, starts[-1]))


def _cleaned_words(denoised: Any) -> list[str]:
    try:
        return _mended(' '.join(span['cleanasr'] for span in denoised or ())).split()
    except (KeyError, TypeError) as error:
        raise DropRecord('its "denoised" is not a list of spans with "cleanasr"') from error


def _mended(text: str) -> str:
    """Text whose encoding was mistaken, as it was meant ("cafÃ©" is "café")."""
    if text.isascii():
        return text
    with needed_for('mending text'):
        import ftfy
    return ftfy.fix_text(text)


def _files(sources: Iterable[str | Path]) -> Iterator[Path]:
    for source in map(Path, sources):
        if source.is_dir():
            found = sorted(path for path in source.rglob('*') if path.name.lower().endswith(
                ('.json', '.jsonl', '.jsonl.gz')))
            if not found:
                raise FileNotFoundError(f'there is no .json, .jsonl or .jsonl.gz file in {source}')
            yield from found
        elif source.is_file():
            yield source
        else:
            raise FileNotFoundError(f'there is no file or folder {source}')


def _records(files: Iterable[Path]) -> Iterator[tuple[str, Path | bytes | None]]:
    for path in files:
        if path.suffix.lower() == '.json':
            # Read by the process that converts it, and not at all if an earlier run has done it.
            yield str(path), path
            continue
        opened = gzip.open if path.suffix.lower() == '.gz' else open
        number = 0
        try:
            with opened(path, 'rb') as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield f'{path}, line {number}', line
        except (OSError, EOFError, zlib.error):
            yield f'{path}, after line {number}', None
