"""Figures of an annotation file of any size: totals of all lines, more of a random sample."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tvtsv2_mm.datasets.annotations import (
    AnnotationError,
    check_caption,
    check_transcript,
    read_record,
    scan_records,
)
from tvtsv2_mm.preparation.converters.report import word_times_of
from tvtsv2_mm.video.errors import cause_of

# Causes told apart; a file of other content would have as many as lines.
_MAX_CAUSES = 30


@dataclass(kw_only=True)
class Survey:
    """What is in an annotation file."""

    path: Path
    kind: str  # 'transcripts' or 'captions'
    num_records: int = 0  # lines that fit the format
    bad_lines: Counter[str] = field(default_factory=Counter)  # those that do not, by cause
    first_bad_line: str = ''  # with its number
    seconds: float = 0.0  # of all videos together, or of the parts that are meant
    num_without_duration: int = 0  # records that do not say (captions need not)
    spoken_seconds: float = 0.0  # in which a word or cue is spoken
    num_texts: int = 0  # words of transcripts; captions
    num_caption_words: int = 0
    num_silent: int = 0  # transcripts without a word
    num_too_long: int = 0  # transcripts that go on beyond the end of their video: of another one?
    word_times: Counter[str] = field(default_factory=Counter)  # transcripts by their source
    num_spread_words: int = 0  # words whose times are spread over a cue or a pause
    sample: list[dict] = field(default_factory=list)  # drawn at random, in the order of the file

    def add(self, record: dict) -> None:
        """Count a record."""
        self.num_records += 1
        length = seconds_of(record)
        self.num_without_duration += length is None
        self.seconds += length or 0
        number = number_of_words(record)
        if self.kind == 'captions':
            self.num_texts += len(record['captions'])
            self.num_caption_words += number
            return
        self.num_texts += number
        self.num_silent += not number
        entries = _entries(record)
        self.num_too_long += bool(entries) and entries[-1][1] >= record['duration']
        self.spoken_seconds += _spoken_seconds(entries)
        times = word_times_of(record)
        self.word_times[times.kind if times else 'not said'] += 1
        self.num_spread_words += times.num_spread if times else 0

    def add_bad_line(self, message: str) -> None:
        """Count a line that does not fit; ``message`` begins with the file and its line."""
        self.first_bad_line = self.first_bad_line or message
        cause = _without_quotes(message.removeprefix(f'{self.path}, line ').partition(': ')[2])
        if cause not in self.bad_lines and len(self.bad_lines) >= _MAX_CAUSES:
            cause = 'other causes'
        self.bad_lines[cause] += 1

    def rows(self) -> list[tuple[str, str]]:
        """The totals, as names and values to print."""
        number = max(self.num_records, 1)
        rows = [('kind', self.kind), ('records', f'{self.num_records:,}'),
                ('lines that do not fit', f'{self.bad_lines.total():,}'),
                ('hours of video', f'{self.seconds / 3600:,.2f}' + (
                    f' ({self.num_without_duration:,} records do not say their duration)'
                    if self.num_without_duration else ''))]
        if self.kind == 'captions':
            return [*rows, ('captions', f'{self.num_texts:,}'),
                    ('captions a record', f'{self.num_texts / number:.2f}'),
                    ('words a caption', f'{self.num_caption_words / max(self.num_texts, 1):.1f}')]
        share = self.spoken_seconds / self.seconds if self.seconds else 0
        kinds = ', '.join(f'{count:,} {kind}' for kind, count in self.word_times.most_common())
        return [*rows, ('hours in which somebody speaks',
                        f'{self.spoken_seconds / 3600:,.2f} ({share:.0%})'),
                ('words', f'{self.num_texts:,}'),
                ('words per minute of video',
                 f'{60 * self.num_texts / self.seconds if self.seconds else 0:.1f}'),
                ('transcripts without a word', f'{self.num_silent:,}'),
                ('transcripts longer than their video', f'{self.num_too_long:,}'),
                ('times of the words', kinds),
                ('words with a time spread over a cue or pause', f'{self.num_spread_words:,}')]


def survey_file(path: str | Path, *, sample_size: int = 2000, seed: int = 0) -> Survey:
    """Go through an annotation file line by line.

    The first line that fits says which of the two formats the file has.

    Args:
        path: Annotation file, transcripts or captions.
        sample_size: Records to draw at random.
        seed: Of this draw.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationError: If no line is a record of transcripts or captions.
    """
    path = Path(path)
    kind = _kind_of(path)
    check = check_caption if kind == 'captions' else check_transcript
    survey = Survey(path=path, kind=kind)
    rng = np.random.default_rng(seed)
    offsets: list[int] = []
    for offset, record in scan_records(path, check):
        if isinstance(record, AnnotationError):
            survey.add_bad_line(str(record))
            continue
        survey.add(record)
        # Reservoir sampling: each record so far is among the drawn with the same probability.
        if len(offsets) < sample_size:
            offsets.append(offset)
        elif (place := rng.integers(survey.num_records)) < sample_size:
            offsets[place] = offset
    survey.sample = [read_record(path, offset, check) for offset in sorted(offsets)]
    return survey


def seconds_of(record: dict) -> float | None:
    """Seconds of the video, or of the part of it that a caption means; None if it is not said."""
    end = record.get('end', record.get('duration'))
    return None if end is None else max(end - record.get('start', 0), 0)


def number_of_words(record: dict) -> int:
    """Words of a transcript, or of the captions."""
    if 'words' in record:
        return len(record['words'])
    return sum(len(text.split()) for text in _texts(record))


def text_of(record: dict, max_words: int = 200) -> str:
    """The first words of a transcript, or of the captions."""
    return ' '.join(' '.join(_texts(record)[:max_words]).split()[:max_words])


def _entries(record: dict) -> list:
    return record.get('words') or record.get('segments') or []


def _texts(record: dict) -> list[str]:
    return record.get('captions') or [text for text, _, _ in _entries(record)]


def _kind_of(path: Path) -> str:
    """What the first line is that fits."""
    first = ''
    for _, record in scan_records(path, _check_any):
        if not isinstance(record, AnnotationError):
            return 'captions' if 'captions' in record else 'transcripts'
        first = first or str(record)
    raise AnnotationError(f'no line of {path} is a record of transcripts or captions (tools/data/'
                          f'README.md shows both); the first one: {first}')


def _check_any(record: dict) -> None:
    (check_caption if 'captions' in record else check_transcript)(record)


def _spoken_seconds(entries: list) -> float:
    """Seconds that one entry or more covers; entries are sorted by their starts.

    Examples:
        >>> _spoken_seconds([['a', 0.0, 2.0], ['b', 1.0, 1.5], ['c', 4.0, 5.0]])
        3.0
    """
    total, covered = 0.0, 0.0
    for _, start, end in entries:
        if end > covered:
            total += end - max(start, covered)
            covered = end
    return total


def _without_quotes(message: str) -> str:
    """The cause, without the content of the line that it quotes."""
    return re.sub(r'(, not|, found|:) .*', r'\1 ...', cause_of(message))
