"""HMDB51, UCF101 and Kinetics: the official annotation files to samples with a label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvtsv2_mm.preparation.benchmarks.class_names import official_class_names
from tvtsv2_mm.preparation.benchmarks.preparation import Sample, Split
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.text_files import read_csv, read_lines

# Videos for training and for the test, in each of the three splits.
HMDB51_COUNTS = dict.fromkeys((1, 2, 3), (3570, 1530))
UCF101_COUNTS = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}

# Rows of train.csv, validate.csv (also val.csv) and test.csv; those of the others are not known.
KINETICS_COUNTS = {'kinetics400': {'train': 246534, 'val': 19906, 'test': 39805}}


def read_hmdb51(folder: str | Path, split: int = 1) -> list[Split]:
    """Read ``<class>_test_split<n>.txt`` of ``testTrainMulti_7030_splits``.

    A line is a file and 1 (training), 2 (test) or 0 (neither).

    Raises:
        FileNotFoundError: There is no such folder, or it has no file of a class.
        ValueError: There is no such split, or a line does not fit.
    """
    _check(folder, split, HMDB51_COUNTS)
    samples: dict[str, list[Sample]] = {'0': [], '1': [], '2': []}
    for label, name in enumerate(official_class_names('hmdb51')):
        for where, line in read_lines(Path(folder, f'{name}_test_split{split}.txt')):
            file, _, use = line.partition(' ')
            if use.strip() not in samples:
                raise UserFileError(f'{where}: expected a file and 0, 1 or 2, found {line!r:.200}')
            samples[use.strip()].append(_labelled(f'{name}/{file}', label))
    return [Split(name=f'{part}_split{split}.txt', samples=samples[use], official=(count, ))
            for part, use, count in zip(('train', 'test'), '12', HMDB51_COUNTS[split], strict=True)]


def read_ucf101(folder: str | Path, split: int = 1) -> list[Split]:
    """Read ``classInd.txt``, ``trainlist0<n>.txt`` and ``testlist0<n>.txt``.

    Raises:
        FileNotFoundError: There is no such folder, or one of the files is missing.
        ValueError: There is no such split, or a line does not fit.
    """
    _check(folder, split, UCF101_COUNTS)
    names = official_class_names('ucf101')
    listed = [line for _, line in read_lines(Path(folder, 'classInd.txt'))]
    if listed != [f'{number} {name}' for number, name in enumerate(names, 1)]:
        raise ValueError(f'{Path(folder, "classInd.txt")}: not the {len(names)} classes of UCF101 '
                         f'("1 {names[0]}", ...)')
    labels = {name: label for label, name in enumerate(names)}
    splits = []
    for part, count in zip(('train', 'test'), UCF101_COUNTS[split], strict=True):
        samples = []
        for where, line in read_lines(Path(folder, f'{part}list0{split}.txt')):
            file, _, number = line.partition(' ')
            label = labels.get(file.partition('/')[0])
            if label is None or (number and number.strip() != str(label + 1)):
                raise UserFileError(
                    f'{where}: expected "Class/file.avi" of a class of classInd.txt '
                    f'(and in trainlist its number), found {line!r:.200}')
            samples.append(_labelled(file, label))
        splits.append(Split(name=f'{part}_split{split}.txt', samples=samples, official=(count, )))
    return splits


def read_kinetics(benchmark: str, files: Mapping[str, str | Path]) -> list[Split]:
    """Read csv files with the columns ``label,youtube_id,time_start,time_end,split``.

    A video is looked for as ``<youtube_id>_<start>_<end>`` with six digits each, then as
    ``<youtube_id>``. Upper case of labels does not count: the lists do not agree on it.

    Args:
        benchmark: 'kinetics400', 'kinetics600' or 'kinetics700'.
        files: The csv file of 'train', 'val' or 'test'.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or a row does not fit.
    """
    labels = {name.casefold(): label
              for label, name in enumerate(official_class_names(benchmark))}
    counts = KINETICS_COUNTS.get(benchmark, {})
    return [
        Split(name=f'{part}.txt',
              samples=[_kinetics_sample(where, row, benchmark, labels) for where, row in read_csv(
                  path, columns=('label', 'youtube_id', 'time_start', 'time_end'))],
              official=(counts[part], ) if part in counts else ()) for part, path in files.items()
    ]


def _kinetics_sample(where: str, row: Mapping[str | None, Any], benchmark: str,
                     labels: dict[str, int]) -> Sample:
    name = row['label'].strip()
    if name.casefold() not in labels:
        raise UserFileError(f'{where}: {name!r:.200} is no class of '
                            f'{benchmark.replace("kinetics", "Kinetics-")}')
    try:
        start, end = (round(float(row[key])) for key in ('time_start', 'time_end'))
        if not 0 <= start < end:
            raise ValueError
    except (ValueError, OverflowError):
        raise UserFileError(f'{where}: time_start and time_end must be seconds, found '
                            f'{row["time_start"]!r:.100} and {row["time_end"]!r:.100}') from None
    video = row['youtube_id'].strip()
    clip = f'{video}_{start:06d}_{end:06d}'
    return Sample(name=clip, stems=(clip, video), folder=name, label=labels[name.casefold()])


def _labelled(file: str, label: int) -> Sample:
    path = Path(file)
    return Sample(name=file, stems=(path.stem, ), folder=str(path.parent), label=label)


def _check(folder: str | Path, split: int, counts: dict[int, tuple[int, int]]) -> None:
    if split not in counts:
        raise ValueError(f'there is no split {split}; there are {", ".join(map(str, counts))}')
    if not Path(folder).is_dir():
        raise FileNotFoundError(f'there is no folder {folder} (of the official annotation files)')
