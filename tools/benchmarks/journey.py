"""Measure the whole way from a folder of videos to an index, beside what one would write instead.

    python tools/benchmarks/journey.py --sizes b16 b32

'ours' is tools/extract_features.py; 'open_clip' and 'sentence_transformers' are the scripts of
tools/benchmarks/plain_scripts, the mean of CLIP's embeddings of the same frames at the same size.
Each runs in a process of its own, in turns, on the same cores, with random weights, with all that a
user waits for: imports, loading, decoding, the model, writing. Each also takes the first of the
videos alone; what the others add to that is 'going on', without the start.
docs/features.md has the results and says what they mean. Linux only (cores, CPU time).
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

SIZES = ('tiny', 'b32', 'b16')
SIDES = ('ours', 'open_clip', 'sentence_transformers')
PRECISIONS = ('fp32', 'bf16')


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--videos', type=Path, help='folder (by default real clips and made ones, see '
        'journeys.collect_videos)')
    add('--sizes', nargs='+', default=['b16'], choices=SIZES, help='(default: b16)')
    add('--sides', nargs='+', default=SIDES, choices=SIDES, help='(all)')
    add('--precisions', nargs='+', default=PRECISIONS, choices=PRECISIONS, help='(both)')
    add('--copies', type=int, default=1, help='of each video (%(default)s)')
    add('--rounds', type=int, default=3, help='turns of each (%(default)s)')
    add('--cores', type=int, default=2, help='that all of it may use (%(default)s)')
    add('--out', help='JSON file (benchmarks/results/<what>_<hardware>_<date>.json)')
    add('--smoke', action='store_true',
        help='see that all of it runs: a tiny model, one round, one precision, small videos')
    args = parser.parse_args()
    if args.smoke:
        args.sizes, args.rounds, args.precisions = ['tiny'], 1, ['fp32']
    import tvtsv2_mm  # noqa: F401  # isort: skip  # mends torchvision, before open_clip imports it
    from journeys import measure
    from results import save
    cores = sorted(os.sched_getaffinity(0))[:args.cores]
    os.sched_setaffinity(0, cores)  # the processes that it starts inherit it
    with TemporaryDirectory() as folder:
        try:
            rows = measure(args, Path(folder))
        except (ValueError, FileNotFoundError) as error:
            sys.exit(f'error: {error}')
    save(f'journey-{"-".join(args.sizes)}', rows, args)


if __name__ == '__main__':
    main()
