"""Run a converter over all its records; count what was written, and say of each drop why."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from json import dumps
from pathlib import Path
from typing import Any, NamedTuple

from tvtsv2_mm.datasets.annotations import AnnotationError

# Records handed to each process at a time: enough to hide the hand-over, few enough for the memory.
_RECORDS_PER_PROCESS = 256


class DropRecord(Exception):
    """This record cannot be converted. The message is the reason, the same for equal causes."""


@dataclass(kw_only=True)
class ConversionReport:
    """What became of the records.

    Attributes:
        output: The annotation file.
        dropped_list: A tab-separated file: each dropped record and its reason.
        num_read: Records of the source.
        num_written: Lines of the annotation file.
        reasons: How many were dropped for which reason.
    """

    output: Path
    dropped_list: Path
    num_read: int = 0
    num_written: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """The report as lines of text."""
        lines = [f'read {self.num_read}, wrote {self.num_written}, '
                 f'dropped {self.reasons.total()}']
        lines += [f'  {count} x {reason}' for reason, count in self.reasons.most_common()]
        if self.reasons:
            lines.append(f'each dropped one with its reason: {self.dropped_list}')
        if self.num_written:
            lines.append(f'annotations: {self.output}')
        return '\n'.join(lines)


def convert(records: Iterable[tuple[str, Any]], to_annotation: Callable[[Any], dict],
            output: str | Path, *, check: Callable[[dict], None],
            workers: int = 1) -> ConversionReport:
    """Write an annotation file.

    The file appears under its name only when it is complete, and not at all if every record was
    dropped. A video's second record is dropped.

    Args:
        records: Pairs of a name (for the report) and a record of the source.
        to_annotation: Makes an annotation of one record, or raises ``DropRecord``. With several
            workers it must be picklable.
        output: The annotation file (JSON lines). The dropped ones are listed beside it in
            ``<output>.dropped.tsv``.
        check: ``check_transcript`` or ``check_caption``; what does not fit is dropped.
        workers: Processes. The output does not depend on their number.

    Returns:
        The counts.
    """
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name(f'{output.name}.part')
    report = ConversionReport(
        output=output, dropped_list=output.with_name(f'{output.name}.dropped.tsv'))
    seen: set[str] = set()
    make = partial(_make, to_annotation=to_annotation, check=check)
    with (unfinished.open('w', encoding='utf-8') as written,
          report.dropped_list.open('w', encoding='utf-8') as dropped):
        for made in _make_all(records, make, workers):
            report.num_read += 1
            reason = 'its video has a record already' if made.path in seen else made.reason
            if reason:
                report.reasons[reason] += 1
                dropped.write(f'{made.name}\t{reason}\n')
                continue
            seen.add(made.path)
            report.num_written += 1
            written.write(made.line + '\n')
    if report.num_written:
        unfinished.replace(output)
    else:
        unfinished.unlink()
    if not report.reasons:
        report.dropped_list.unlink()
    return report


def run(conversion: Callable[[], ConversionReport]) -> None:
    """Run a conversion as a script does: print the report, end with an error if nothing came out.

    Raises:
        SystemExit: If the input is wrong as a whole, or every record was dropped.
    """
    try:
        report = conversion()
    except (FileNotFoundError, ImportError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    print(report.summary())
    if not report.num_written:
        raise SystemExit('error: nothing was written')


class _Made(NamedTuple):
    """What became of a record: a line of the annotation file, or the reason why there is none."""

    name: str
    path: str = ''
    line: str = ''
    reason: str = ''


def _make(item: tuple[str, Any], to_annotation: Callable[[Any], dict],
          check: Callable[[dict], None]) -> _Made:
    name, record = item
    try:
        annotation = to_annotation(record)
        check(annotation)
    except (DropRecord, AnnotationError) as error:
        return _Made(name, reason=str(error))
    return _Made(name, annotation['path'], dumps(annotation, ensure_ascii=False))


_make_in_worker: Callable[[tuple[str, Any]], _Made]


def _set_up_worker(make: Callable[[tuple[str, Any]], _Made]) -> None:
    global _make_in_worker
    _make_in_worker = make


def _work(item: tuple[str, Any]) -> _Made:
    return _make_in_worker(item)


def _make_all(records: Iterable[tuple[str, Any]], make: Callable[[tuple[str, Any]], _Made],
              workers: int) -> Iterator[_Made]:
    if workers == 1:
        yield from map(make, records)
        return
    records = iter(records)
    # What all records need (an index of millions of videos) goes to a process once.
    with ProcessPoolExecutor(workers, initializer=_set_up_worker, initargs=(make, )) as pool:
        # In portions, since the pool would read the whole source into memory; the next one is
        # under way while one is written.
        waiting: Iterator[_Made] = iter(())
        while portion := list(islice(records, workers * _RECORDS_PER_PROCESS)):
            started = pool.map(_work, portion, chunksize=16)
            yield from waiting
            waiting = started
        yield from waiting
