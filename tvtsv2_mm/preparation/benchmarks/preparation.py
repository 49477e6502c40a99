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
from tvtsv2_mm.preparation.converters.report import DropRecord
from tvtsv2_mm.preparation.converters.videos import VideoIndex


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A video of a benchmark, with its class or its captions.

    Attributes:
        name: Its official name.
        stems: File names without ending by which the video may be known, the usual one first.
        folder: Where it usually lies under the folder of the videos; None: anywhere.
        anywhere: Whether it may lie in another folder, as its name is an id.
        label: Its class, for recognition.
        annotation: Keys of the caption format without the path, for retrieval and multiple choice.
    """

    name: str
    stems: tuple[str, ...]
    folder: str | None = None
    anywhere: bool = True
    label: int | None = None
    annotation: dict | None = None

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
    """The samples of one annotation file.

    Attributes:
        name: Of the annotation file, with its ending: 'test_split1.txt' or 'test.jsonl'.
        samples: In the official order.
        official: Numbers of videos that count as complete; none given, none is asked for.
        captions_only: The captions are wanted, as query bank of QB-Norm, with or without the
            videos: a video that is missing keeps its official name as path.
        remark: What the reader has left out, for the report.
    """

    name: str
    samples: list[Sample]
    official: tuple[int, ...] = ()
    captions_only: bool = False
    remark: str = ''


@dataclass(kw_only=True)
class PreparationReport:
    """What became of the videos.

    Attributes:
        folder: Of the annotation files.
        counts: Of each file: ``annotated``, ``used``, ``missing``, and the file's ``sha256``.
        num_captions: Of each file whose captions are all there, whatever the videos.
        remarks: On files of which something was left out.
    """

    folder: Path
    counts: dict[str, dict] = field(default_factory=dict)
    num_captions: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """The report as lines of text."""
        lines = []
        for name, count in self.counts.items():
            line = f'{self.folder / name}: {count["used"]} of {count["annotated"]} videos'
            if name in self.num_captions:
                line += f'; all {self.num_captions[name]} captions'
            lines.append(line)
            if name in self.remarks:
                lines.append(f'  {self.remarks[name]}')
            if count['missing'] and name not in self.num_captions:
                lines.append(f'  {count["missing"]} missing: {missing_list(self.folder, name)}')
        return '\n'.join(lines)


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
    for split in splits:
        _check(split, allow_counts)
    _check_apart(splits)
    index = VideoIndex(videos)
    folder = Path(out, 'annotations')
    folder.mkdir(parents=True, exist_ok=True)
    report = PreparationReport(folder=folder, num_captions={
        split.name: sum(len((sample.annotation or {})['captions']) for sample in split.samples)
        for split in splits if split.captions_only}, remarks={
        split.name: split.remark for split in splits if split.remark})
    texts = {}
    found = _find_videos(splits, index)
    for split in splits:
        lines, missing = _lines_of(split, found)
        _write_missing(missing_list(folder, split.name), [] if split.captions_only else missing)
        texts[split.name] = ''.join(f'{line}\n' for line in lines)
        annotated = len(split.samples)
        report.counts[split.name] = dict(
            annotated=annotated, used=annotated - len(missing), missing=len(missing),
            sha256=sha256(texts[split.name].encode()).hexdigest())
    _check_missing(report, videos, allow_missing)
    for name, text in texts.items():
        _write(folder / name, text)
    if classes:
        _write(Path(out, 'classes.txt'), ''.join(f'{name}\n' for name in classes))
    _write(folder / 'counts.json',
           json.dumps(_earlier_counts(folder / 'counts.json') | report.counts, indent=2) + '\n')
    return report


def missing_list(folder: Path, split: str) -> Path:
    """Path of the list of the missing videos of a split."""
    return folder / f'{split}.missing.tsv'


def _check(split: Split, allow_counts: bool) -> None:
    count = len(split.samples)
    if not allow_counts and split.official and count not in split.official:
        raise ValueError(
            f'{split.name}: the annotation names {count} videos, the official one '
            f'{" or ".join(map(str, split.official))}; --allow-counts takes it as it is')
    if not split.samples:
        raise ValueError(f'{split.name}: the annotation names no video')
    name, times = Counter(sample.name for sample in split.samples).most_common(1)[0]
    if times > 1:
        raise ValueError(f'{split.name}: the annotation names {name} {times} times')


def _check_apart(splits: Sequence[Split]) -> None:
    others = {sample.name for split in splits if not split.captions_only
              for sample in split.samples}
    for split in splits:
        shared = [sample.name for sample in split.samples if sample.name in others]
        if split.captions_only and shared:
            raise ValueError(f'{split.name}: {len(shared)} of its videos are in another split too, '
                             f'{", ".join(shared[:3])}; a query bank has training videos alone')


def _find_videos(splits: Sequence[Split], index: VideoIndex) -> dict[str, str | DropRecord]:
    """The path of each name of the annotation, or why it has none."""
    samples = {sample.name: sample for split in splits for sample in split.samples}
    found: dict[str, str | DropRecord] = {}
    names: dict[str, list[str]] = {}
    for name, sample in samples.items():
        try:
            path = _find_video(sample, index)
        except DropRecord as reason:
            found[name] = reason
        else:
            found[name] = path
            names.setdefault(path, []).append(name)
    # Two parts of one video, of which the whole is there; x.avi and x.mp4, of which one is there.
    for path, sharing in names.items():
        nearest = min(_distance(samples[name], path) for name in sharing)
        nearest_ones = [name for name in sharing if _distance(samples[name], path) == nearest]
        for name in sharing:
            if len(sharing) > 1 and [name] != nearest_ones:
                found[name] = DropRecord(f'{path} is the only file for {len(sharing)} videos of '
                                         'the annotation')
    return found


def _find_video(sample: Sample, index: VideoIndex) -> str:
    if (index.root / sample.name).is_file():
        return sample.name
    stem = next((stem for stem in sample.stems if stem in index), sample.stems[0])
    return index.find(stem, sample.folder, anywhere=sample.anywhere)


def _distance(sample: Sample, path: str) -> int:
    """How far a path is from the official one: the same, one of another ending, another one."""
    if path == sample.name:
        return 0
    official = os.path.join(sample.folder or '', sample.stems[0])
    return 1 if os.path.splitext(path)[0] == official else 2


def _lines_of(split: Split, found: dict[str, str | DropRecord]) -> tuple[
        list[str], list[tuple[str, str]]]:
    """Lines of the annotation file, and (name, reason) of each missing video."""
    lines, missing = [], []
    for sample in split.samples:
        path = found[sample.name]
        if isinstance(path, DropRecord):
            missing.append((sample.name, str(path)))
            if not split.captions_only:
                continue
            path = sample.name
        try:
            lines.append(sample.line(path))
        except AnnotationError as error:
            raise ValueError(f'{split.name}: {sample.name}: {error}') from None
    return lines, missing


def _check_missing(report: PreparationReport, videos: str | Path, allow_missing: bool) -> None:
    short = {name: count for name, count in report.counts.items()
             if count['missing'] and name not in report.num_captions}
    empty = [name for name, count in short.items() if not count['used']]
    if not short or (allow_missing and not empty):
        return
    found = '; '.join(f'{count["missing"]} of {count["annotated"]} videos of {name} are not under '
                      f'{videos} ({missing_list(report.folder, name)} lists them)'
                      for name, count in short.items())
    advice = ('is that the folder of the videos?' if empty else
              '--allow-missing leaves them out, and the figures are then of another test')
    raise ValueError(f'{found}; {advice}')


def _earlier_counts(path: Path) -> dict[str, dict]:
    """Counts of the splits that were prepared before and are still there."""
    if not path.is_file():
        return {}
    try:
        counts = json.loads(path.read_text(encoding='utf-8'))
    except ValueError:
        raise ValueError(f'{path} is not json; remove it and prepare again') from None
    return {name: count for name, count in counts.items() if path.with_name(name).is_file()}


def _write_missing(path: Path, missing: list[tuple[str, str]]) -> None:
    if missing:
        _write(path, ''.join(f'{name}\t{reason}\n' for name, reason in missing))
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Write a file that appears under its name only when it is complete."""
    part = path.with_name(f'{path.name}.part')
    part.write_text(text, encoding='utf-8')
    part.replace(path)
