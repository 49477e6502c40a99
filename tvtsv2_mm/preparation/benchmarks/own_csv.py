"""A csv of one's own videos: ``path,label`` or ``path,caption``, and if wanted ``split``."""

import os
import re
from pathlib import Path

from tvtsv2_mm.preparation.benchmarks.preparation import Sample, Split
from tvtsv2_mm.preparation.converters.videos import one_spelling
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.text_files import read_csv, read_names
from tvtsv2_mm.video.files import VIDEO_SUFFIXES


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
        ValueError: A column is missing, a quote is not closed, a field is empty, a path leaves the
            folder, a video has two labels, however its path is spelt, a class is listed twice, or
            a label is not among the classes.
    """
    rows = list(read_csv(path, columns=('path', )))
    given = [column for column in ('label', 'caption') if rows and column in rows[0][1]]
    if len(given) != 1:
        raise UserFileError(
            f'{path}: besides "path" it needs rows with either "label" or "caption", '
            f'found {" and ".join(given) or "none"}')
    value = given[0]
    by_split: dict[str, dict[str, list[str]]] = {}
    label_of: dict[str, str] = {}
    for where, row in rows:
        video, split, text = (one_spelling(row.get(column, 'test').strip())
                              for column in ('path', 'split', value))
        if not (video and split and text):
            raise UserFileError(f'{where}: an empty field')
        _check_row(where, video, split, text)
        video = os.path.normpath(video.replace('\\', '/'))
        if video.startswith(('/', '../')):
            raise UserFileError(f'{where}: {video} leaves the folder of the videos')
        if value == 'label' and '\n' in text:
            raise UserFileError(f'{where}: a label goes over several lines; is a quote (") not '
                                'closed?')
        texts = by_split.setdefault(split, {}).setdefault(video, [])
        if value == 'label' and (texts or label_of.setdefault(video, text) != text):
            raise UserFileError(f'{where}: {video} has a label already, {label_of[video]!r}')
        texts.append(text)
    if value == 'caption':
        return [_captions(split, videos) for split, videos in by_split.items()], []
    names = _class_names(set(label_of.values()), path, classes)
    # A number is an index, unless it is the name of a class.
    labels = {str(label): label for label in range(len(names))}
    labels |= {name: label for label, name in enumerate(names)}
    return [Split(name=f'{split}.txt', samples=[_sample(video, label=labels[texts[0]])
                                                for video, texts in videos.items()])
            for split, videos in by_split.items()], names


def _captions(split: str, videos: dict[str, list[str]]) -> Split:
    samples = [_sample(video, annotation={'captions': list(dict.fromkeys(texts))})
               for video, texts in videos.items()]
    repeated = sum(len(texts) - len(set(texts)) for texts in videos.values())
    return Split(name=f'{split}.jsonl', samples=samples, remark=(
        f'{repeated} captions that their video has already: left out' if repeated else ''))


def _check_row(where: str, video: str, split: str, text: str) -> None:
    if re.fullmatch(r'[\w-][\w.-]{0,39}', split) is None:
        raise UserFileError(
            f'{where}: split {split!r:.80} is to name a file: letters, digits, "_", '
            '"-", at most 40')
    # A quote that is not closed goes on to the next one, over the rows between them.
    cells = [cell.strip() for line in text.split('\n') for cell in line.split(',')]
    swallowed = [cell for cell in cells if '\n' in text and _is_video(cell)]
    if '\n' in video or swallowed:
        raise UserFileError(f'{where}: a field goes over several lines'
                         + (f' and holds {swallowed[0]}' if swallowed else '')
                         + '; is a quote (") not closed?')


def _is_video(cell: str) -> bool:
    suffix = os.path.splitext(cell)[1].lower()
    return len(suffix) > 1 and suffix in VIDEO_SUFFIXES


def _sample(video: str, *, label: int | None = None, annotation: dict | None = None) -> Sample:
    folder, file = os.path.split(video)
    return Sample(name=video, stems=(os.path.splitext(file)[0], ), folder=folder, anywhere=False,
                  label=label, annotation=annotation)


def _class_names(found: set[str], path: str | Path, classes: str | Path | None) -> list[str]:
    labels = sorted(found)
    if classes is None:
        if all(name.isdecimal() for name in labels):
            raise UserFileError(f'{path}: its labels are numbers; give the class names with '
                                '--classes, one a line, in the order of the numbers')
        first: dict[str, str] = {}
        for name in labels:
            same = first.setdefault(' '.join(name.casefold().split()), name)
            if same != name:
                raise UserFileError(
                    f'{path}: its labels {same!r} and {name!r} differ in upper case '
                    'or blanks alone; if these are two classes, list both with '
                    '--classes')
        return labels
    names = [one_spelling(name) for name in read_names(classes)]
    known = {*names, *map(str, range(len(names)))}
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise UserFileError(
            f'{path}: {", ".join(unknown[:5])} not among the {len(names)} classes of '
            f'{classes}')
    return names
