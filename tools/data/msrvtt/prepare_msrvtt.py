"""MSR-VTT 1k-A: the csv of the test to data/msrvtt/annotations."""

import argparse

from tvtsv2_mm.datasets.benchmarks import read_msrvtt
from tvtsv2_mm.datasets.benchmarks.command_line import make_parser, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 'msrvtt')
    parser.add_argument('annotation', help='csv with the columns video_id and sentence')
    return parser.parse_args()


def main() -> None:
    """Read, check and write."""
    args = parse_args()
    run(lambda: (read_msrvtt(args.annotation), ()), args)


if __name__ == '__main__':
    main()
