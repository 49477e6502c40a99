"""Class names that ship with the package, in the order of the labels.

The official names (``labels/*_official.txt``) are those of MMAction2's label maps (Apache-2.0),
which name the classes of HMDB51 (CC BY 4.0), UCF101, and Kinetics (CC BY 4.0). The names for
prompts (``labels/*.txt``) are written here, so that "a person {}" is a phrase.
"""

from importlib.resources import files

BENCHMARKS = ('hmdb51', 'kinetics400', 'kinetics600', 'kinetics700', 'ucf101')


def class_names(benchmark: str) -> list[str]:
    """Names that read well behind "a person", such as "brushing hair".

    Raises:
        ValueError: There is no list for this benchmark.
    """
    return _read(benchmark, f'{benchmark}.txt')


def official_class_names(benchmark: str) -> list[str]:
    """Names as the data set spells them, such as "brush_hair"; raises like :func:`class_names`."""
    return _read(benchmark, f'{benchmark}_official.txt')


def _read(benchmark: str, name: str) -> list[str]:
    if benchmark not in BENCHMARKS:
        raise ValueError(f'no class names for {benchmark!r}; there are {", ".join(BENCHMARKS)}')
    path = files('tvtsv2_mm.preparation.benchmarks') / 'labels' / name
    return path.read_text(encoding='utf-8').splitlines()
