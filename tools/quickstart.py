"""The main job in small: data, a tiny CLIP, TVTSv2 from it, and every evaluation beside chance."""

import argparse
import os
import sys
import time
from pathlib import Path

from tvtsv2_mm.choices import BASES

# Threads that wait for each other shall sleep: on a busy machine spinning costs ten times the time.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

CONFIG_DIR = Path(__file__).resolve().parents[1] / 'configs' / 'tvtsv2'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'),
                        help='folder for everything that is made (default: %(default)s)')
    parser.add_argument('--seed', '--seeds', dest='seeds', type=int, nargs='+', default=[0],
                        help='one seed, or several for mean and spread (default: 0)')
    parser.add_argument('--base', choices=BASES, default='clip',
                        help='what the tiny image-text model is like (default: clip)')
    parser.add_argument('--smoke', action='store_true',
                        help='only see that every stage works: little data, few steps, no claims')
    return parser.parse_args()


def main() -> int:
    """Run all seeds; returns the exit status."""
    args = parse_args()
    from tvtsv2_mm.experiments.quickstart import FULL, SMOKE, beats_all, run_seed, write_report
    from tvtsv2_mm.utils.extras import MissingPackageError
    started = time.monotonic()
    work_dir = args.work_dir if args.base == 'clip' else args.work_dir / args.base
    work_dir = work_dir / 'smoke' if args.smoke else work_dir
    scale = SMOKE if args.smoke else FULL
    try:
        runs = [run_seed(work_dir / f'seed{seed}', seed=seed, scale=scale, config_dir=CONFIG_DIR,
                         base=args.base)
                for seed in args.seeds]
    except MissingPackageError as error:
        sys.exit(f'error: {error}')
    print(write_report(work_dir, runs))
    pictures = ', '.join(run['picture'] for run in runs)
    print(f'pictures: {pictures}\nfigures: {work_dir / "figures.json"}, {work_dir / "table.md"}')
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    if args.smoke:
        print(f'quickstart --smoke: OK, every stage works ({minutes}:{seconds:02d}); '
              'so short a training has no figures to claim')
        return 0
    weak = [f'seed {run["seed"]}, {line}' for run in runs for line in beats_all(run['figures'])]
    for line in weak:
        print(f'not clearly better than chance, the untrained model and the tiny CLIP: {line}')
    print(f'quickstart: {"FAILED" if weak else "OK"}, TVTSv2 '
          f'{"does not beat" if weak else "beats"} chance, the untrained model and the tiny CLIP '
          f'in every row ({minutes}:{seconds:02d})')
    return 1 if weak else 0


if __name__ == '__main__':
    sys.exit(main())
