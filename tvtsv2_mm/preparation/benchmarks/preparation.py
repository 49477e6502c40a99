"""From the samples that an official annotation names to our annotation files.

A reader of a benchmark makes :class:`Split`; :func:`prepare` checks the counts, looks for the
videos, says which are missing, and writes.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tvtsv2_mm.datasets.annotations import AnnotationError, check_caption
from tvtsv2_mm.preparation.benchmarks.files import first_names
from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.preparation.converters.videos import VideoIndex
from tvtsv2_mm.utils.errors import one_error
from tvtsv2_mm.utils.files import read_json, write_atomically


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A video of a benchmark, with its class or its captions."""

    name: str  # the official one
    stems: tuple[str, ...]  # file names without ending that it may have, the usual one first
    folder: str | None = None  # where it usually lies under that of the videos; None: anywhere
    anywhere: bool = True  # whether it may lie in another folder, as its name is an id
    label: int | None = None  # for recognition
    annotation: dict | None = None  # for the others: keys of the caption format without the path

    def line(self, path: str) -> str:
        """Line of the annotation file.

        Examples:
            >>> Sample(name='a.avi', stems=('a',), label=3).line('x/a.mp4')
            'x/a.mp4 3'
        """
        if self.label is not None:
            return f'{path} {self.label}'
        record = {'path': path, 'id': self.name} | (self.annotation or {})
        check_caption(record)
        return json.dumps(record, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class Split:
    """The samples of one annotation file."""

    name: str  # of the file, with its ending: 'test_split1.txt' or 'test.jsonl'
    samples: list[Sample]  # in the official order
    official: tuple[int, ...] = ()  # numbers of videos that count as complete, if any is asked for
    # The captions are wanted, as query bank of QB-Norm, with or without the videos: a video that is
    # missing keeps its official name as path.
    captions_only: bool = False
    remark: str = ''  # what the reader has left out, for the report


@dataclass(kw_only=True)
class PreparationReport:
    """What became of the videos."""

    folder: Path  # of the annotation files
    splits: Sequence[Split]
    # Of each file: annotated, used, missing, and the file's sha256.
    counts: dict[str, dict] = field(default_factory=dict)

    def summary(self) -> str:
        """The report as lines of text."""
        lines = []
        for split in self.splits:
            count = self.counts[split.name]
            line = f'{self.folder / split.name}: {count["used"]} of {count["annotated"]} videos'
            if split.captions_only:
                num_captions = sum(len(sample.annotation['captions']) for sample in split.samples
                                   if sample.annotation)
                line += f'; all {num_captions} captions'
            lines.append(line)
            if split.remark:
                lines.append(f'  {split.remark}')
            if count['missing'] and not split.captions_only:
                lines.append(f'  {count["missing"]} missing: {self.missing_list(split)}')
        return '\n'.join(lines)

    def missing_list(self, split: Split) -> Path:
        """Path of the list of the missing videos of a split."""
        return self.folder / f'{split.name}.missing.tsv'


def prepare(splits: Sequence[Split], *, videos: str | Path, out: str | Path,
            classes: Sequence[str] = (), allow_missing: bool = False,
            allow_counts: bool = False) -> PreparationReport:
    """Write the annotation files of a benchmark, all or none.

    Writes ``annotations/<split>``, ``annotations/counts.json`` and, of classes, ``classes.txt``.
    Videos that are missing are listed in ``annotations/<split>.missing.tsv``, each with the reason.

    Args:
        splits: What the official annotation says.
        videos: Folder of the videos. Each is looked for at its official path, then by its name
            in its folder, or (``Sample.anywhere``) in any, whatever the ending. A file counts for
            one name of the annotation: the one that fits best, or none.
        out: Folder to write to.
        classes: Class names in the order of the labels.
        allow_missing: Leave missing videos out, instead of stopping.
        allow_counts: Take an annotation that has another number of videos than the official one.

    Raises:
        FileNotFoundError: There is no such folder, or no video in it.
        ValueError: A count is not the official one, a video is annotated twice or is in a query
            bank and in another split, or videos are missing.
    """
    _check(splits, allow_counts)
    index = VideoIndex(videos)
    folder = Path(out, 'annotations')
    folder.mkdir(parents=True, exist_ok=True)
    report = PreparationReport(folder=folder, splits=splits)
    found = _find_videos(splits, index)
    texts = {}
    for split in splits:
        missing = {sample.name: reason for sample in split.samples
                   if isinstance(reason := found[sample.name], DropRecord)}
        text = texts[folder / split.name] = _text_of(split, found)
        report.counts[split.name] = dict(
            annotated=len(split.samples), used=len(split.samples) - len(missing),
            missing=len(missing), sha256=sha256(text.encode()).hexdigest())
        if missing and not split.captions_only:
            _write(report.missing_list(split), ''.join(
                f'{name}\t{reason}\n' for name, reason in missing.items()))
        else:
            report.missing_list(split).unlink(missing_ok=True)
    _check_missing(report, videos, allow_missing)
    if classes:
        texts[Path(out, 'classes.txt')] = ''.join(f'{name}\n' for name in classes)
    for path, text in texts.items():
        _write(path, text)
    _write(folder / 'counts.json',
           json.dumps(_earlier_counts(folder / 'counts.json') | report.counts, indent=2) + '\n')
    return report


def _check(splits: Sequence[Split], allow_counts: bool) -> None:
    for split in splits:
        count = len(split.samples)
        if not allow_counts and split.official and count not in split.official:
            raise ValueError(
                f'{split.name}: the annotation names {count} videos, the official one '
                f'{" or ".join(map(str, split.official))}; --allow-counts takes it as it is')
        if not split.samples:
            raise ValueError(f'{split.name}: the annotation names no video')
        name, times = Counter(sample.name for sample in split.samples).most_common(1)[0]
        if times > 1:
            raise ValueError(f'{split.name}: the annotation names {name:.100} {times} times')
    others = {sample.name for split in splits if not split.captions_only
              for sample in split.samples}
    for split in splits:
        shared = [sample.name for sample in split.samples if sample.name in others]
        if split.captions_only and shared:
            raise ValueError(f'{split.name}: {len(shared)} of its videos are in another split too, '
                             f'{first_names(shared)}; a query bank has training videos alone')


def _find_videos(splits: Sequence[Split], index: VideoIndex) -> dict[str, str | DropRecord]:
    """The path of each name of the annotation, or why it has none."""
    samples = {sample.name: sample for split in splits for sample in split.samples}
    found: dict[str, str | DropRecord] = {}
    names: dict[str, list[str]] = {}
    for name, sample in samples.items():
        try:
            path = found[name] = _find_video(sample, index)
            names.setdefault(path, []).append(name)
        except DropRecord as reason:
            found[name] = reason
    # Two parts of one video, of which the whole is there; x.avi and x.mp4, of which one is there.
    for path, sharing in names.items():
        distances = [_distance(samples[name], path) for name in sharing]
        alone = distances.count(min(distances)) == 1
        for name, distance in zip(sharing, distances, strict=True):
            if not alone or distance > min(distances):
                found[name] = DropRecord(f'{path} is the only file for {len(sharing)} videos of '
                                         'the annotation')
    return found


def _find_video(sample: Sample, index: VideoIndex) -> str:
    if os.path.isfile(index.root / sample.name):  # pathlib raises where a name is too long
        return sample.name
    stem = next((stem for stem in sample.stems if stem in index), sample.stems[0])
    return index.find(stem, sample.folder, anywhere=sample.anywhere)


def _distance(sample: Sample, path: str) -> int:
    """How far a path is from the official one: the same, one of another ending, another one."""
    if path == sample.name:
        return 0
    official = os.path.join(sample.folder or '', sample.stems[0])
    return 1 if os.path.splitext(path)[0] == official else 2


def _text_of(split: Split, found: dict[str, str | DropRecord]) -> str:
    """Text of the annotation file."""
    lines = []
    for sample in split.samples:
        path = found[sample.name]
        if isinstance(path, DropRecord):
            if not split.captions_only:
                continue
            path = sample.name
        try:
            lines.append(f'{sample.line(path)}\n')
        except AnnotationError as error:
            raise ValueError(f'{split.name}: {sample.name}: {error}') from None
    return ''.join(lines)


def _check_missing(report: PreparationReport, videos: str | Path, allow_missing: bool) -> None:
    short = [(split, count) for split in report.splits
             if (count := report.counts[split.name])['missing'] and not split.captions_only]
    empty = any(not count['used'] for _, count in short)
    if not short or (allow_missing and not empty):
        return
    found = '; '.join(f'{count["missing"]} of {count["annotated"]} videos of {split.name} are not '
                      f'under {videos} ({report.missing_list(split)} lists them)'
                      for split, count in short)
    advice = ('is that the folder of the videos?' if empty else
              '--allow-missing leaves them out, and the figures are then of another test')
    raise ValueError(f'{found}; {advice}')


def _earlier_counts(path: Path) -> dict[str, dict]:
    """Counts of the splits that were prepared before and are still there."""
    if not path.is_file():
        return {}
    with one_error(f'{path} is damaged; remove it and prepare again'):
        return {name: count for name, count in read_json(path).items()
                if os.path.isfile(path.parent / name)}


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode())
