"""What the scripts in tools/data/<benchmark>/ share: printing, errors."""

import argparse
from collections.abc import Callable, Sequence

from tvtsv2_mm.preparation.benchmarks.class_names import class_names, official_class_names
from tvtsv2_mm.preparation.benchmarks.preparation import Split, prepare


def named(benchmark: str, args: argparse.Namespace) -> Sequence[str]:
    """Class names of a benchmark as ``--names`` asks for."""
    return (class_names if args.names == 'prompt' else official_class_names)(benchmark)


def run(read: Callable[[], tuple[Sequence[Split], Sequence[str]]],
        args: argparse.Namespace) -> None:
    """Read and write as a script does: print the counts, or end with the error.

    Args:
        read: Makes the splits and the class names (none for captions).
        args: Of :func:`tvtsv2_mm.preparation.arguments.benchmark_parser`.

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
