"""LSMDC: the official annotation files to data/lsmdc/annotations."""

import argparse

from tvtsv2_mm.preparation.benchmarks import read_lsmdc
from tvtsv2_mm.preparation.benchmarks.command_line import make_parser, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 'lsmdc')
    parser.add_argument('annotation', help='LSMDC16_challenge_1000_publictect.csv')
    parser.add_argument('--train', metavar='CSV',
                        help='LSMDC16_annos_training.csv: training captions, for QB-Norm')
    return parser.parse_args()


def main() -> None:
    """Read, check and write."""
    args = parse_args()
    run(lambda: (read_lsmdc(args.annotation, train=args.train), ()), args)


if __name__ == '__main__':
    main()
