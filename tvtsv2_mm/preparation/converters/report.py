"""Run a converter over all its records; count what was written, and say of each drop why."""

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tvtsv2_mm.datasets.annotations import AnnotationError, Check
from tvtsv2_mm.utils.errors import one_error
from tvtsv2_mm.utils.extras import MissingPackageError
from tvtsv2_mm.utils.files import (
    check_fields,
    make_folder,
    put_in_place,
    read_json,
    write_atomically,
    writing,
)
from tvtsv2_mm.utils.parts import run_item, start_worker
from tvtsv2_mm.video.files import printable

# What is noted of an unfinished run.
_SAVED = dict(source=str, num_read=int, written_bytes=int, dropped_bytes=int)

# Records handed to each process at a time: enough to hide the hand-over, few enough for the memory.
_RECORDS_PER_PROCESS = 256


class DropRecord(Exception):
    """This record cannot be converted. The message is the reason, the same for equal causes.

    Args:
        reason: The message.
        place: Where in the record, such as 'line 7': in the list of the dropped ones.
    """

    def __init__(self, reason: str, place: str = '') -> None:
        super().__init__(reason)
        self.place = place


class WordTimes(NamedTuple):
    """Where the times of a transcript's words come from."""

    kind: str
    num_words: int
    num_spread: int


@dataclass(kw_only=True)
class ConversionReport:
    """What became of the records."""

    output: Path  # the annotation file
    dropped_list: Path  # a tab-separated file: each dropped record and its reason
    num_read: int = 0  # records of the source
    num_written: int = 0  # lines of the annotation file
    reasons: Counter[str] = field(default_factory=Counter)  # how many were dropped for which
    # Transcripts whose words have times that are 'given', 'spread' or 'partly spread' over cues.
    word_times: Counter[str] = field(default_factory=Counter)
    num_words: int = 0  # of these transcripts
    num_spread_words: int = 0  # those of them whose times are spread over a cue or a pause
    # Of how many words or cues what became, beside those that were taken as they are.
    remarks: Counter[str] = field(default_factory=Counter)
    resumed_after: int = 0  # records that an earlier, unfinished run had done
    started_anew: bool = False  # there was an unfinished run, of another source or other options

    def count(self, word_times: WordTimes | None, remarks: dict[str, int]) -> None:
        """Count a record that is written."""
        self.num_written += 1
        self.remarks.update(remarks)
        if word_times is not None:
            self.word_times[word_times.kind] += 1
            self.num_words += word_times.num_words
            self.num_spread_words += word_times.num_spread

    def summary(self) -> str:
        """The report as lines of text."""
        lines = []
        if self.resumed_after:
            lines.append(f'went on after {self.resumed_after} records of an unfinished run')
        if self.started_anew:
            lines.append('started anew: the unfinished run had other sources or options')
        lines.append(f'read {self.num_read}, wrote {self.num_written}, '
                     f'dropped {self.reasons.total()}')
        lines += [f'  {count} x {reason}' for reason, count in self.reasons.most_common()]
        if self.reasons:
            lines.append(f'each dropped one with its reason: {self.dropped_list}')
        if self.word_times:
            kinds = ', '.join(f'{count} {kind}' for kind, count in self.word_times.most_common())
            lines.append(f'times of the words: {kinds}; those of {self.num_spread_words} of '
                         f'{self.num_words} words are spread over their cue or a pause')
        lines += [f'  {count} {remark}' for remark, count in self.remarks.most_common()]
        if self.num_written:
            lines.append(f'annotations: {self.output}')
        return '\n'.join(lines)


def word_times_of(annotation: dict) -> WordTimes | None:
    """How the words of an annotation are timed; None if it does not say, or has no transcript.

    Examples:
        >>> word_times_of({'segments': [['go left', 0.0, 1.0]]})
        WordTimes(kind='spread', num_words=2, num_spread=2)
    """
    meta = annotation.get('meta', {})
    if 'segments' in annotation:
        kind, number = 'spread', sum(len(text.split()) for text, _, _ in annotation['segments'])
    elif 'words' in annotation and 'word_times' in meta:
        kind, number = meta['word_times'], len(annotation['words'])
    else:
        return None
    num_spread = {'given': 0, 'spread': number}.get(kind, meta.get('spread_words', 0))
    return WordTimes(kind, number, num_spread)


def _counts_of(annotation: dict) -> tuple[WordTimes | None, dict[str, int]]:
    """What the report counts of a record that is written."""
    return word_times_of(annotation), annotation.get('meta', {}).get('remarks', {})


def fingerprint(files: Iterable[Path], *options: Any) -> str:
    """Tell one conversion from another: by its files (path, size, time of change) and options."""
    digest = sha256(repr(options).encode())
    for path in files:
        stat = path.stat()
        digest.update(f'\0{os.fspath(path)}\0{stat.st_size}\0{stat.st_mtime_ns}'.encode(
            errors='surrogateescape'))
    return digest.hexdigest()


def convert(records: Iterable[tuple[str, Any]], to_annotation: Callable[[Any], dict],
            output: str | Path, *, check: Check, source: str, workers: int = 1) -> ConversionReport:
    """Write an annotation file.

    The file appears under its name only when it is complete, and not at all if every record was
    dropped. A video's second record is dropped. A run that was killed is taken up by the next one
    with the same output: every few seconds is noted how far it is (see ``_Progress``).

    Args:
        records: Pairs of a name (for the report) and a record of the source, always in the same
            order. Those that an earlier run has done are skipped, so reading one should be cheap.
        to_annotation: Makes an annotation of one record, or raises ``DropRecord``. With several
            workers it must be picklable.
        output: The annotation file (JSON lines). The dropped ones are listed beside it in
            ``<output>.dropped.tsv``.
        check: ``check_transcript`` or ``check_caption``; what does not fit is dropped.
        source: ``fingerprint`` of the source and the options. A run of another one starts anew.
        workers: Processes. The output does not depend on their number.

    Returns:
        The counts.
    """
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')
    output = Path(output)
    make_folder(output.parent)
    report = ConversionReport(
        output=output, dropped_list=output.with_name(f'{output.name}.dropped.tsv'))
    progress = _Progress(report, source)
    with writing(output):
        seen = progress.take_up()
    with (writing(output), progress.unfinished.open('ab') as written,
          report.dropped_list.open('ab') as dropped):
        rest = islice(records, report.num_read, None)
        for made in _make_all(rest, (to_annotation, check), workers):
            report.num_read += 1
            reason = 'its video has a record already' if made.path in seen else made.reason
            if reason:
                report.reasons[reason] += 1
                fields = (re.sub(r'[\t\r\n]', ' ', text) for text in (made.name, reason))
                dropped.write(printable('\t'.join(fields) + '\n').encode())
            else:
                seen.add(made.path)
                report.count(*made.counts)
                written.write(made.line)
            progress.save_now_and_then(written, dropped)
    progress.finish()
    return report


class _Progress:
    """How far a conversion is, in ``<output>.progress.json``.

    Lines go to ``<output>.part`` and to the list of the dropped ones. Noted are the number of
    records read and the sizes of both files at that moment: what a kill left behind them is cut
    off, and everything else is read from the two files again.
    """

    _SAVE_EVERY_S = 5.0

    def __init__(self, report: ConversionReport, source: str) -> None:
        self.report = report
        self.source = source
        self.unfinished = report.output.with_name(f'{report.output.name}.part')
        self._file = report.output.with_name(f'{report.output.name}.progress.json')
        self._saved_at = time.monotonic()

    def take_up(self) -> set[str]:
        """Bring both files and the report to the last saved state; return the paths written."""
        saved = read_json(self._file) if self._file.is_file() else None
        # Without the lines the output has them: it was killed after that.
        if (saved is None or saved.get('source') != self.source or not self.unfinished.is_file()
                or not self.report.dropped_list.is_file()):
            self.report.started_anew = saved is not None
            self._file.unlink(missing_ok=True)
            self.unfinished.write_bytes(b'')
            self.report.dropped_list.write_bytes(b'')
            return set()
        with one_error(f'{self._file} and the files that it tells of do not fit (delete it, and '
                       'the conversion starts anew)'):
            check_fields(saved, _SAVED, str(self._file))
            return self._go_on(saved)

    def _go_on(self, saved: dict[str, Any]) -> set[str]:
        for file, key in ((self.unfinished, 'written_bytes'),
                          (self.report.dropped_list, 'dropped_bytes')):
            if not 0 <= saved[key] <= file.stat().st_size:  # which would fill it up with zeros
                raise ValueError(f'{saved[key]} bytes of {file} were written')
            os.truncate(file, saved[key])
        seen = set()
        with self.unfinished.open('rb') as file:
            for line in file:
                annotation = json.loads(line)
                seen.add(annotation['path'])
                self.report.count(*_counts_of(annotation))
        with self.report.dropped_list.open(encoding='utf-8', newline='\n') as file:
            self.report.reasons.update(line.rstrip('\n').split('\t')[1] for line in file)
        if not 0 <= saved['num_read'] < sys.maxsize:
            raise ValueError(f'{saved["num_read"]} records were read')
        self.report.num_read = self.report.resumed_after = saved['num_read']
        return seen

    def save_now_and_then(self, written: BinaryIO, dropped: BinaryIO) -> None:
        """Save, if the last time was a while ago."""
        if time.monotonic() - self._saved_at < self._SAVE_EVERY_S:
            return
        for file in (written, dropped):
            file.flush()
            os.fsync(file.fileno())
        write_atomically(self._file, json.dumps(dict(
            source=self.source, num_read=self.report.num_read, written_bytes=written.tell(),
            dropped_bytes=dropped.tell())).encode())
        self._saved_at = time.monotonic()

    def finish(self) -> None:
        """Give the annotation file its name; leave no file without content."""
        if self.report.num_written:
            with writing(self.report.output):
                put_in_place(self.unfinished, self.report.output)
        else:
            self.unfinished.unlink()
        self._file.unlink(missing_ok=True)
        if not self.report.reasons:
            self.report.dropped_list.unlink()


class _Made(NamedTuple):
    """What became of a record: a line of the annotation file, or the reason why there is none."""

    name: str
    reason: str = ''
    path: str = ''
    line: bytes = b''
    counts: tuple[WordTimes | None, dict[str, int]] = (None, {})


class _Maker:
    """Makes the lines of records, one in each process."""

    def __init__(self, to_annotation: Callable[[Any], dict], check: Check) -> None:
        self._to_annotation = to_annotation
        self._check = check

    def run(self, item: tuple[str, Any]) -> _Made:
        name, record = item
        try:
            annotation = self._to_annotation(record)
            self._check(annotation)
            line = json.dumps(annotation, ensure_ascii=False).encode() + b'\n'
            return _Made(name, '', annotation['path'], line, _counts_of(annotation))
        except DropRecord as error:
            return _Made(f'{name}, {error.place}' if error.place else name, str(error))
        except AnnotationError as error:
            return _Made(name, str(error))
        except UnicodeEncodeError:
            return _Made(name, 'its path or text is not valid Unicode')
        except MissingPackageError:
            raise
        except Exception as error:
            # One odd record of a hundred million must not end the run; it is listed with others.
            return _Made(name, f'the converter fails on it ({type(error).__name__})')


def _make_all(records: Iterator[tuple[str, Any]], arguments: tuple[Callable[[Any], dict], Check],
              workers: int) -> Iterator[_Made]:
    if workers == 1:
        yield from map(_Maker(*arguments).run, records)
        return
    # What all records need (an index of millions of videos) goes to a process once.
    with ProcessPoolExecutor(workers, initializer=start_worker,
                             initargs=(_Maker, arguments)) as pool:
        # In portions, since the pool would read the whole source into memory; the next one is
        # under way while one is written.
        waiting: Iterator[_Made] = iter(())
        while portion := list(islice(records, workers * _RECORDS_PER_PROCESS)):
            started = pool.map(run_item, portion, chunksize=16)
            yield from waiting
            waiting = started
        yield from waiting
