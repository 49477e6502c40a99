"""What the scripts in tools/data/<benchmark>/ share: options, printing, errors."""

import argparse
from collections.abc import Callable, Sequence

from tvtsv2_mm.preparation.benchmarks.class_names import class_names, official_class_names
from tvtsv2_mm.preparation.benchmarks.preparation import Split, prepare


def make_parser(description: str | None, benchmark: str) -> argparse.ArgumentParser:
    """Parser with the options of every benchmark; each script adds its annotation files."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--videos', help='folder of the videos, any layout (default: OUT/videos)')
    parser.add_argument('--out', default=f'data/{benchmark}',
                        help='folder to write to (default: %(default)s, where the configs look)')
    parser.add_argument('--allow-missing', action='store_true',
                        help='leave videos out that are missing; they are listed in any case')
    parser.add_argument('--allow-counts', action='store_true',
                        help='take an annotation of another number of videos than the official one')
    return parser


def add_names_option(parser: argparse.ArgumentParser) -> None:
    """Add the choice of class names."""
    parser.add_argument('--names', choices=('prompt', 'official'), default='prompt',
                        help='class names for classes.txt: that read well behind "a person", or '
                             'as the data set spells them (default: %(default)s)')


def named(benchmark: str, args: argparse.Namespace) -> Sequence[str]:
    """Class names of a benchmark as ``--names`` asks for."""
    return (class_names if args.names == 'prompt' else official_class_names)(benchmark)


def run(read: Callable[[], tuple[Sequence[Split], Sequence[str]]],
        args: argparse.Namespace) -> None:
    """Read and write as a script does: print the counts, or end with the error.

    Args:
        read: Makes the splits and the class names (none for captions).
        args: Of :func:`make_parser`.

    Raises:
        SystemExit: If the input is wrong or videos are missing.
    """
    try:
        splits, classes = read()
        report = prepare(
            splits, videos=args.videos or f'{args.out}/videos', out=args.out, classes=classes,
            allow_missing=args.allow_missing, allow_counts=args.allow_counts)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    print(report.summary())
