"""The paper's claims in small: trainings that differ in one thing, measured out of the box.

search tries the rates of learning, each setting at each of them; give it a seed of its own.
"""

import argparse
import os
import sys
import time
from pathlib import Path

# Threads that wait for each other shall sleep: on a busy machine spinning costs ten times the time.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

CONFIG_DIR = Path(__file__).resolve().parents[1] / 'configs' / 'tvtsv2'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('part', choices=('freeze', 'sorting', 'masking', 'order', 'search'),
                        help='which claim (docs/study.md)')
    parser.add_argument('--seed', '--seeds', dest='seeds', type=int, nargs='+', default=[0, 1, 2],
                        help='mean and spread are over these (default: 0 1 2)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/study'),
                        help='what is finished there is not done again (default: %(default)s)')
    parser.add_argument('--smoke', action='store_true',
                        help='only see that every stage works: little data, few steps, no claims')
    return parser.parse_args()


def main() -> None:
    """Run all seeds of a part, and print its table."""
    args = parse_args()
    from tvtsv2_mm.experiments.study import (
        FULL,
        SMOKE,
        run_part,
        search_rates,
        write_report,
        write_search,
    )
    from tvtsv2_mm.utils.extras import MissingPackageError
    started = time.monotonic()
    work_dir = args.work_dir / 'smoke' if args.smoke else args.work_dir
    runs, table = {}, ''
    how: dict = dict(scale=SMOKE if args.smoke else FULL, config_dir=CONFIG_DIR)
    try:
        for seed in args.seeds:  # each report is of the seeds so far
            if args.part == 'search':
                runs[seed] = search_rates(work_dir, seed=seed, **how)
                table = write_search(work_dir, runs)
            else:
                runs[seed] = run_part(args.part, work_dir, seed=seed, **how)
                table = write_report(work_dir, args.part, runs)
    except MissingPackageError as error:
        sys.exit(f'error: {error}')
    print(table)
    print(f'{work_dir / args.part}.json, .md{"" if args.part == "search" else ", .png"} '
          f'({(time.monotonic() - started) / 60:.0f} minutes)')


if __name__ == '__main__':
    main()
