"""Kinetics-400: the official csv files to data/kinetics400/annotations."""

import argparse

from tvtsv2_mm.preparation.benchmarks import read_kinetics400
from tvtsv2_mm.preparation.benchmarks.command_line import add_names_option, make_parser, named, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 'kinetics400')
    parser.add_argument('--train', help='train.csv')
    parser.add_argument('--val', help='validate.csv or val.csv')
    parser.add_argument('--test', help='test.csv')
    add_names_option(parser)
    args = parser.parse_args()
    if not (args.train or args.val or args.test):
        parser.error('give at least one csv file: --train, --val or --test')
    return args


def main() -> None:
    """Read, check and write."""
    args = parse_args()
    files = {part: getattr(args, part) for part in ('train', 'val', 'test') if getattr(args, part)}
    run(lambda: (read_kinetics400(files), named('kinetics400', args)), args)


if __name__ == '__main__':
    main()
