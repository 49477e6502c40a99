"""A csv of one's own videos: ``path,label`` or ``path,caption``, and if wanted ``split``."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tvtsv2_mm.datasets.benchmarks.files import read_csv, read_lines
from tvtsv2_mm.datasets.benchmarks.preparation import Sample, Split


def read_own_csv(path: str | Path, *,
                 classes: str | Path | None = None) -> tuple[list[Split], list[str]]:
    """Read a csv with a header.

    Without a column ``split`` all rows are of the test. Several captions of a video stand in
    several rows.

    Args:
        path: The csv file; its paths are relative to the folder of the videos.
        classes: Class names in the order of the labels, one a line; the labels may then be numbers
            from 0 too. None takes the different labels of the csv, sorted.

    Returns:
        The splits, and the class names (none for captions).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, a field is empty, a video has two labels, or a label is
            not among the classes.
    """
    rows = list(read_csv(path, columns=('path', )))
    given = [column for column in ('label', 'caption') if rows and column in rows[0][1]]
    if len(given) != 1:
        raise ValueError(f'{path}: besides "path" it needs rows with either "label" or "caption", '
                         f'found {" and ".join(given) or "none"}')
    value = given[0]
    by_split: dict[str, dict[str, list[str]]] = {}
    for where, row in rows:
        video, split = row['path'].strip(), row.get('split', 'test').strip()
        text = row[value].strip()
        if not (video and split and text):
            raise ValueError(f'{where}: an empty field')
        texts = by_split.setdefault(split, {}).setdefault(video, [])
        if value == 'label' and texts:
            raise ValueError(f'{where}: {video} has a label already, {texts[0]!r}')
        texts.append(text)
    if value == 'caption':
        return [Split(name=f'{split}.jsonl', samples=[
            _sample(video, annotation={'captions': texts}) for video, texts in videos.items()])
                for split, videos in by_split.items()], []
    names = _class_names([row['label'].strip() for _, row in rows], path, classes)
    labels = {name: label for label, name in enumerate(names)}
    # A number is an index, unless it is the name of a class.
    labels = {str(label): label for label in labels.values()} | labels
    return [Split(name=f'{split}.txt', samples=[
        _sample(video, label=labels[texts[0]]) for video, texts in videos.items()])
            for split, videos in by_split.items()], names


def _sample(video: str, **content: int | dict) -> Sample:
    place = PurePosixPath(video.replace('\\', '/'))
    folder = '' if str(place.parent) == '.' else str(place.parent)
    return Sample(name=video, stems=(place.stem, ), folder=folder, **content)


def _class_names(labels: Sequence[str], path: str | Path,
                 classes: str | Path | None) -> list[str]:
    if classes is None:
        names = sorted(set(labels))
        if all(name.isdecimal() for name in names):
            raise ValueError(f'{path}: its labels are numbers; give the class names with '
                             '--classes, one a line, in the order of the numbers')
        return names
    names = [line for _, line in read_lines(classes)]
    known = {*names, *map(str, range(len(names)))}
    unknown = sorted(set(labels) - known)
    if unknown:
        raise ValueError(f'{path}: {", ".join(unknown[:5])} not among the {len(names)} classes of '
                         f'{classes}')
    return names
