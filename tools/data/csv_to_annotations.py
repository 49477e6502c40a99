"""A csv of your own videos (path,label or path,caption) to annotations."""

import argparse

from tvtsv2_mm.preparation.benchmarks import read_own_csv
from tvtsv2_mm.preparation.benchmarks.command_line import make_parser, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 'own')
    parser.add_argument('csv', help='columns path and label, or path and caption; and if wanted '
                                    'split (train, val, test; without it all are test)')
    parser.add_argument('--classes', help='class names in the order of the labels, one a line '
                                          '(default: the labels of the csv, sorted)')
    return parser.parse_args()


def main() -> None:
    """Read, check and write."""
    args = parse_args()
    run(lambda: read_own_csv(args.csv, classes=args.classes), args)


if __name__ == '__main__':
    main()
