"""DiDeMo: the official json to data/didemo/annotations, a paragraph a video."""

import argparse

from tvtsv2_mm.datasets.benchmarks import read_didemo
from tvtsv2_mm.datasets.benchmarks.command_line import make_parser, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 'didemo')
    parser.add_argument('annotation', help='test_data.json')
    parser.add_argument('--part', choices=('test', 'val', 'train'), default='test',
                        help='which part it is (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    """Read, check and write."""
    args = parse_args()
    run(lambda: (read_didemo(args.annotation, args.part), ()), args)


if __name__ == '__main__':
    main()
