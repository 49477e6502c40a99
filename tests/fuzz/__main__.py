"""Chosen cases of all targets or of those named, told as they are: ``python -m tests.fuzz``."""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import tvtsv2_mm  # noqa: F401  (the mends come first)
from tests.fuzz.cases import run_cases
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run the cases, print what was found, end with 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('targets', nargs='*', help=', '.join(sorted(TARGETS)))
    parser.add_argument('--cases', type=int, default=300, help='of each (default: %(default)s)')
    parser.add_argument('--first', type=int, default=0, help='number of the first case')
    args = parser.parse_args()
    failed = False
    for name in args.targets or TARGETS:
        start = time.monotonic()
        with TemporaryDirectory() as folder:
            target = TARGETS[name]
            outcome = run_cases(target, Path(folder), range(args.first, args.first + args.cases))
        seconds = time.monotonic() - start
        print(f'{name}: of {outcome.injected} cases {outcome.read} were read, {outcome.refused} '
              f'refused, {outcome.contained} contained, in {seconds:.0f} s', flush=True)
        for found, count in outcome.counts.most_common():
            print(f'  {count} x {found}: cases {outcome.findings[found]}', flush=True)
        failed = failed or bool(outcome.findings)
    sys.exit(failed)


if __name__ == '__main__':
    main()
