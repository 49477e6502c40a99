"""HowTo100M and corpora in its shape, captions with start and end, to the transcript format."""

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from sys import intern
from typing import BinaryIO

from tvtsv2_mm.datasets.annotations import check_transcript
from tvtsv2_mm.preparation.converters import report, timing
from tvtsv2_mm.preparation.converters.report import ConversionReport, DropRecord
from tvtsv2_mm.preparation.converters.timing import Remarks
from tvtsv2_mm.preparation.converters.videos import VideoIndex, probe_duration
from tvtsv2_mm.preparation.options import HOWTO100M_COLUMNS
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.text_files import read_csv

# Lists in lists: captions have two.
_DEEPEST = 100
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKETS = bytes({*range(256)} - {*b'[]{}'})

# A column that a csv does not have.
ABSENT = '-'

# A video's id; its captions (lists start, end, text), or the csv that has them, or None; its row of
# the list of videos ({} without a list), or None.
Record = tuple[str, dict | Path | None, dict | None]


def convert_howto100m(captions: str | Path, output: str | Path, *, videos: str | Path,
                      video_list: str | Path | None = None,
                      columns: Sequence[str] = HOWTO100M_COLUMNS,
                      workers: int = 1) -> ConversionReport:
    """Convert the captions of HowTo100M, or of a corpus in one of its three shapes.

    ``caption.json``, ``raw_caption.json``: one object ``{id: {"start": [...], "end": [...],
    "text": [...]}}``. It is read in pieces, so it may be larger than the memory. A csv with a
    caption in each row, those of a video together. A folder with a csv for each video, ``ID.csv``.

    The captions of a video become ``segments``: no word has a time of its own. A caption of rolling
    subtitles stays on the screen below the next one; here it ends where the next one starts.

    Args:
        captions: The file or folder.
        output: The annotation file.
        videos: Folder of the videos, in any layout: they are found by their ids.
        video_list: A csv with a column ``video_id`` (``HowTo100M_v1.csv``): only its videos are
            taken, and its other columns go to ``meta``.
        columns: Names of the columns of a csv of captions: id of the video (not used in a folder),
            start, end ('-' if there is none: HTM-AA), text. Times are seconds or ``h:mm:ss.s``.
        workers: Processes.

    Raises:
        FileNotFoundError: If a file or folder is missing or empty.
        ValueError: If a csv lacks a column, or the json is broken.
        MissingPackageError: If ijson is not installed and there is a json to read.
    """
    captions = Path(captions)
    files = sorted(path for path in captions.iterdir() if path.suffix.lower() == '.csv'
                   ) if captions.is_dir() else [captions]
    if not files or not files[0].is_file():
        raise FileNotFoundError(f'there is no file, and no folder with .csv files, {captions} '
                                '(of the captions)')
    lists = [] if video_list is None else [Path(video_list)]
    rows = _read_list(*lists) if lists else None
    if captions.is_dir():
        found: Iterable[tuple[str, dict | Path]] = ((path.stem, path) for path in files)
    elif captions.suffix.lower() == '.json':
        found = _from_json(captions)
    else:
        found = _from_csv(captions, columns)
    make = partial(_to_annotation, videos=VideoIndex(videos), columns=columns)
    return report.convert(
        _with_rows(found, rows), make, output, check=check_transcript, workers=workers,
        source=report.fingerprint([*files, *lists], str(videos), tuple(columns)))


def _to_annotation(record: Record, videos: VideoIndex, columns: Sequence[str]) -> dict:
    """Make an annotation of one video."""
    video, captions, row = record
    if row is None:
        raise DropRecord('it is not in the list of videos')
    if captions is None:
        raise DropRecord('it is in the list of videos and has no captions')
    path = videos.find(video)
    if isinstance(captions, Path):
        try:
            one_video = _from_csv(captions, (ABSENT, *columns[1:]))
            captions = next((lists for _, lists in one_video), dict(start=[], end=[], text=[]))
        except ValueError as error:
            raise DropRecord('its csv cannot be read, or lacks a column') from error
    remarks: Remarks = Counter()
    segments = _segments(captions, remarks)
    if not segments:
        raise DropRecord('it has no caption')
    return timing.in_video({
        'path': path, 'duration': probe_duration(videos.root / path), 'segments': segments,
        'id': video, 'meta': timing.with_remarks({'source': 'HowTo100M', **row}, remarks)})


def _segments(captions: dict, remarks: Remarks) -> list[list]:
    try:
        texts, starts, ends = captions['text'], captions['start'], captions.get('end')
        ends = [None] * len(texts) if ends is None else ends
        timed = [(text, _time(start), _time(end))
                 for text, start, end in zip(texts, starts, ends, strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise DropRecord('its captions are not texts with as many starts and ends') from error
    spoken = [caption for caption in timed if isinstance(caption[0], str)]
    remarks += Counter({'captions that are no text: left out': len(timed) - len(spoken)})
    return timing.as_segments(spoken, remarks)


def _time(value: float | str | None) -> float | None:
    return None if value in (None, '') else timing.seconds(timing.clock_seconds(value))


def _with_rows(found: Iterable[tuple[str, dict | Path]],
               rows: dict[str, dict] | None) -> Iterator[tuple[str, Record]]:
    """Each video with its row; then the videos of the list without captions."""
    missing = dict.fromkeys(rows or ())
    for video, captions in found:
        missing.pop(video, None)
        yield video, (video, captions, {} if rows is None else rows.get(video))
    yield from ((video, (video, None, {})) for video in missing)


def _from_json(path: Path) -> Iterator[tuple[str, dict]]:
    with needed_for('reading large json'):
        import ijson
    last = 'the start'
    with path.open('rb') as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        try:
            for last, captions in ijson.kvitems(_Shallow(file), '', use_float=True):
                yield last, captions
        except (ijson.JSONError, ValueError) as error:
            raise UserFileError(
                f'{path} is broken or no JSON object, after {last:.200}: {error}') from error


class _Shallow:
    """A file of one json object, whose brackets are counted before ijson sees them.

    What ijson notes of the place of a value takes memory by the square of its depth: 100 kB of
    brackets take all there is.

    Raises:
        ValueError: it is no object, or nested too deep.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begun = False
        self._open = b''  # what a string that goes on in the next block begins with
        self._depth = 0

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        if not self._begun and block.strip():
            self._begun = True
            if not block.lstrip().startswith(b'{'):
                raise ValueError('it is no object')
        rest = _STRINGS.sub(b'', self._open + block)
        rest, quote, string = rest.partition(b'"')
        odd = len(string) - len(string.rstrip(b'\\')) & 1
        self._open = quote + b'\\' * odd
        for bracket in rest.translate(None, _NO_BRACKETS):
            self._depth += 1 if bracket in b'[{' else -1
            if self._depth > _DEEPEST:
                raise ValueError(f'a value is nested more than {_DEEPEST} deep')
        return block


def _from_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict]]:
    """Videos of a csv; rows of one video that stand together are one."""
    video, start, end, text = columns
    rows = (row for _, row in read_csv(
        path, columns=[name for name in columns if name != ABSENT], allow_ragged=True,
        hint='--columns names those of the video, start, end and text'))
    for name, group in groupby(rows, lambda row: row.get(video) or ''):
        lists = list(group)
        # Of a row with too few or too many fields nothing is sure, so of its video neither.
        yield name, {} if any(None in row for row in lists) else {
            'start': [row[start] for row in lists], 'text': [row[text] for row in lists],
            'end': None if end == ABSENT else [row[end] for row in lists]}


def _read_list(path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for where, row in read_csv(path, columns=('video_id', )):
        video = row.pop('video_id')
        if video in found:
            raise UserFileError(f'{where}: {video} is in the list already')
        # Categories and tasks come again and again: interned, a million rows take little memory.
        found[video] = {intern(key): intern(value) for key, value in row.items() if key and value}
    return found
