"""The two annotation formats, JSON lines: what is said when, and captions of a video.

tools/data/README.md shows them. A line that does not fit is an error that names file and line.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from operator import le
from os.path import normpath
from pathlib import Path
from typing import Any, NoReturn

from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import parse_json

Check = Callable[[dict], None]

TRANSCRIPT_KEYS = frozenset({'path', 'duration', 'words', 'segments', 'id', 'meta'})
CAPTION_KEYS = frozenset(
    {'path', 'captions', 'duration', 'start', 'end', 'answer', 'id', 'meta'})
# Of a video, in seconds: 115 days. Beyond it are faults and other units.
LONGEST = 1e7


class AnnotationError(UserFileError):
    """An annotation file does not have its format; the message names file, line and key."""


def load_transcripts(path: str | Path) -> list[dict]:
    """Read records of "video + what is said when"; errors as in :func:`read_records`."""
    return [record for _, record in read_records(path, check_transcript)]


def load_captions(path: str | Path) -> list[dict]:
    """Read records of "video + captions"; errors as in :func:`read_records`."""
    return [record for _, record in read_records(path, check_caption)]


def load_labels(path: str | Path, num_classes: int | None = None) -> list[tuple[str, int]]:
    """Read MMAction2's text list, ``path label`` a line.

    A video that is listed twice with one label is told by a warning: it counts twice. Labels are
    0 .. num_classes - 1; None takes any.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a line does not fit, has several labels or one beyond the classes, or
            gives a video another label than a line before it.
    """
    records: list[tuple[str, int]] = []
    found: dict[str, tuple[int, str]] = {}  # label and place of each video
    for _, where, line in _lines(path):
        text = _text(line, where).strip()
        match = re.fullmatch(r'(.*\S)\s+([0-9]{1,9})', text)
        if match is None:
            raise AnnotationError(f'{where}: expected "path label" with a label of 0, 1, 2, ..., '
                                  f'found {text!r}')
        name, label = match.groups()
        if re.search(r'\s[0-9]+$', name):
            raise AnnotationError(f'{where}: a video has one label here, found several: {text!r}')
        if num_classes is not None and int(label) >= num_classes:
            raise AnnotationError(f'{where}: label {label} does not fit {num_classes} classes '
                                  '(labels count from 0)')
        first, place = found.setdefault(normpath(name), (int(label), where))
        if first != int(label):
            raise AnnotationError(f'{where}: {name} has the label {label} here, but {first} in '
                                  f'{place}')
        records.append((name, int(label)))
    if len(found) < len(records):
        warnings.warn(f'{path}: {len(records) - len(found)} of {len(records)} lines name a video '
                      'that is there before; it counts as often as it is listed', stacklevel=2)
    return records


def read_records(path: str | Path, check: Check) -> Iterator[tuple[int, dict]]:
    """Where each line of a file begins, in bytes, and its record.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a line does not fit.
    """
    for offset, where, line in _lines(path):
        yield offset, parse_record(line, check, where)


def find_records(path: str | Path, check: Check | None) -> list[int]:
    """Where the lines of a file of records begin, in bytes; raises as :func:`read_records`.

    A corpus of transcripts takes tens of GB; so the records stay in the file, and
    :func:`read_record` reads one. Without a ``check`` nothing is looked at before.
    """
    if check is None:
        return [offset for offset, _, _ in _lines(path)]
    return [offset for offset, _ in read_records(path, check)]


def read_record(path: str | Path, offset: int, check: Check) -> dict:
    """Read the record that begins at ``offset``; errors as in :func:`read_records`."""
    with open(path, 'rb') as file:
        file.seek(offset)
        line = file.readline()
    try:
        return parse_record(line, check, '')
    except AnnotationError:  # only now is it worth while to count the lines
        where = next((where for begin, where, text in _lines(path)
                      if offset < begin + len(text)), str(path))
        return parse_record(line, check, where)


def scan_records(path: str | Path, check: Check) -> Iterator[tuple[int, dict | AnnotationError]]:
    """Go through a file of any size: where each line begins, and its record or what is wrong.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: the file is empty.
    """
    for offset, where, line in _lines(path):
        try:
            yield offset, parse_record(line, check, where)
        except AnnotationError as error:
            yield offset, error


def check_transcript(record: dict) -> None:
    """Check one record of the transcript format.

    Raises:
        AnnotationError: it does not fit (without file and line).
    """
    _check_common(record, TRANSCRIPT_KEYS)
    _check_seconds(record, 'duration', required=True)
    given = [key for key in ('words', 'segments') if key in record]
    if len(given) != 1:
        raise AnnotationError('exactly one of "words" and "segments" is needed, found '
                              + (' and '.join(given) or 'none'))
    _check_timed_texts(record[given[0]], given[0])


def check_caption(record: dict) -> None:
    """Check one record of the caption format; raises like :func:`check_transcript`."""
    _check_common(record, CAPTION_KEYS)
    captions = record.get('captions')
    if (not isinstance(captions, list) or not captions
            or not all(isinstance(text, str) and text.strip() for text in captions)):
        raise AnnotationError('"captions" must be a list of one or more texts, not empty ones')
    for key in ('duration', 'start', 'end'):
        _check_seconds(record, key)
    if 'end' in record and record['end'] <= record.get('start', 0):
        raise AnnotationError(f'"end" ({record["end"]}) must be later than "start" '
                              f'({record.get("start", 0)})')
    answer = record.get('answer', 0)
    if type(answer) is not int or not 0 <= answer < len(captions):
        raise AnnotationError(f'"answer" must be the index of a caption, 0..{len(captions) - 1}, '
                              f'not {answer!r}')


CHECKS: dict[str, Check] = {'transcripts': check_transcript, 'captions': check_caption}

# The keys of a record that go into the pipeline, and what they are called there.
_SAMPLE_KEYS = {
    'transcripts': dict(duration='duration', words='words', segments='segments'),
    'captions': dict(start='start', end='end', captions='captions', answer='gt_label'),
}


def sample_keys(record: dict, kind: str) -> dict:
    """Keys of the pipeline that a record of ``kind`` has, wherever its video is."""
    return {name: record[key] for key, name in _SAMPLE_KEYS[kind].items() if key in record}


def _lines(path: str | Path) -> Iterator[tuple[int, str, bytes]]:
    """Offset, place for messages, and text of the lines that are not blank."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no annotation file {path} (ann_file); tools/data/'
                                'README.md says how annotation files are made')
    empty, offset = True, 0
    with path.open('rb') as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                empty = False
                yield offset, f'{path}, line {number}', line
            offset += len(line)
    if empty:
        raise AnnotationError(f'{path} is empty')


def _text(line: bytes, where: str) -> str:
    try:
        return line.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise AnnotationError(f'{where}: not UTF-8 ({error})') from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f'{name} is no number')


def parse_record(line: bytes, check: Check, where: str) -> dict:
    """Read a record from its text in UTF-8, which errors call ``where``.

    Raises:
        AnnotationError: it does not fit.
    """
    text = _text(line, where)
    try:
        record = parse_json(text, parse_constant=_no_number)
    except ValueError as error:
        raise AnnotationError(f'{where}: not a JSON object ({error})') from error
    if not isinstance(record, dict):
        raise AnnotationError(f'{where}: a JSON object is needed, found {text.strip()[:40]!r}')
    try:
        check(record)
    except AnnotationError as error:
        raise AnnotationError(f'{where}: {error}') from None
    return record


def _check_common(record: dict, known: frozenset[str]) -> None:
    unknown = sorted(record.keys() - known)
    if unknown:
        raise AnnotationError(f'unknown key {", ".join(map(repr, unknown))}; known are '
                              f'{", ".join(sorted(known))} (own data belongs under "meta")')
    for key, kind, name in (('id', str, 'a text'), ('meta', dict, 'an object')):
        if not isinstance(record.get(key, kind()), kind):
            raise AnnotationError(f'"{key}" must be {name}, not {record[key]!r}')
    if not isinstance(record.get('path'), str) or not record['path'].strip():
        raise AnnotationError('"path" (of the video) is missing or no text')
    if '\0' in record['path']:
        raise AnnotationError(f'"path" {record["path"]!r} is no name of a file')


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= LONGEST


def _check_seconds(record: dict, key: str, required: bool = False) -> None:
    if (required or key in record) and not _is_seconds(record.get(key)):
        raise AnnotationError(f'"{key}" must be seconds, 0 to {LONGEST:.0f}, not '
                              f'{record.get(key)!r}')


def _check_timed_texts(entries: Any, key: str) -> None:
    if not isinstance(entries, list):
        raise AnnotationError(f'"{key}" must be a list of [text, start, end]')
    if _all_fit(entries):
        return
    previous = 0.0
    for number, entry in enumerate(entries):
        if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str)
                and entry[0].strip() and _is_seconds(entry[1]) and _is_seconds(entry[2])):
            raise AnnotationError(f'"{key}" {number} must be [text, start, end], with a text '
                                  f'that is not empty and seconds, 0 to {LONGEST:.0f}, not '
                                  f'{entry!r}')
        if entry[2] < entry[1]:
            raise AnnotationError(f'"{key}" {number} ends before it starts: {entry!r}')
        if entry[1] < previous:
            raise AnnotationError(f'"{key}" must be sorted by start; {number} ({entry!r}) starts '
                                  f'before the one in front of it ({previous})')
        previous = entry[1]


def _all_fit(entries: list) -> bool:
    """The same as checking one by one, in a tenth of the time: files have billions of words."""
    if not entries:
        return True
    if set(map(type, entries)) != {list} or set(map(len, entries)) != {3}:
        return False
    texts, starts, ends = zip(*entries, strict=True)
    return (set(map(type, texts)) == {str} and all(map(str.strip, texts))
            and {*map(type, starts), *map(type, ends)} <= {int, float}
            and starts[0] >= 0 and all(map(le, starts, starts[1:]))
            and all(map(le, starts, ends)) and max(ends) <= LONGEST)
