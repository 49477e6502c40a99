"""DiDeMo: the official json to data/didemo/annotations, a paragraph a video."""

import argparse

from tvtsv2_mm.preparation.benchmarks import read_didemo
from tvtsv2_mm.preparation.benchmarks.command_line import make_parser, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 'didemo')
    parser.add_argument('annotation', help='test_data.json')
    parser.add_argument('--val', metavar='JSON', help='val_data.json')
    parser.add_argument('--train', metavar='JSON',
                        help='train_data.json: training captions, for QB-Norm')
    return parser.parse_args()


def main() -> None:
    """Read, check and write."""
    args = parse_args()
    files = dict(test=args.annotation, val=args.val, train=args.train)
    run(lambda: ([split for part, file in files.items() if file is not None
                  for split in read_didemo(file, part)], ()), args)


if __name__ == '__main__':
    main()
