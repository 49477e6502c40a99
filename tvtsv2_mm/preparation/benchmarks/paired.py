"""Benchmarks of order: videos that differ in the order of events, and texts that tell it.

Each video has the texts of its group as ``captions``, in one order for the whole group, and its own
as ``answer``: PairedMetric compares the videos that have the same candidates.
"""

from collections.abc import Sequence
from pathlib import Path

from tvtsv2_mm.preparation.benchmarks.preparation import Sample, Split
from tvtsv2_mm.utils.text_files import read_csv

VINOGROUND_COUNT = 1000  # videos, of 500 pairs


def read_vinoground(path: str | Path) -> list[Split]:
    """Read ``vinoground.csv``: a row for each pair, with the captions ``pos_cap`` and ``neg_cap``.

    The videos of the n-th row, from 0, are ``<n>_pos`` and ``<n>_neg``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or a row does not fit.
    """
    samples = []
    for number, (_, row) in enumerate(read_csv(path, columns=('pos_cap', 'neg_cap'))):
        texts = [row['pos_cap'].strip(), row['neg_cap'].strip()]
        samples += [_sample(f'{number}_{name}', texts, answer)
                    for answer, name in enumerate(('pos', 'neg'))]
    return [Split(name='test.jsonl', samples=samples, official=(VINOGROUND_COUNT, ))]


def _sample(name: str, texts: Sequence[str], answer: int) -> Sample:
    return Sample(name=name, stems=(name, ),
                  annotation={'captions': list(texts), 'answer': answer})
