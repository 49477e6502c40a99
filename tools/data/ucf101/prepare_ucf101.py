"""UCF101: the official split files to data/ucf101/annotations."""

import argparse

from tvtsv2_mm.preparation.benchmarks import read_ucf101
from tvtsv2_mm.preparation.benchmarks.command_line import add_names_option, make_parser, named, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 'ucf101')
    parser.add_argument('annotations', help='folder ucfTrainTestlist')
    parser.add_argument('--split', type=int, default=1, help='1, 2 or 3 (default: %(default)s)')
    add_names_option(parser)
    return parser.parse_args()


def main() -> None:
    """Read, check and write."""
    args = parse_args()
    run(lambda: (read_ucf101(args.annotations, args.split), named('ucf101', args)), args)


if __name__ == '__main__':
    main()
