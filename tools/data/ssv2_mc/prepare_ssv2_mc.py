"""SSv2-MC: a file of candidate sentences to data/ssv2_mc/annotations."""

import argparse
from collections.abc import Sequence

from tvtsv2_mm.preparation.benchmarks import Split, read_ssv2_mc
from tvtsv2_mm.preparation.benchmarks.command_line import make_parser, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 'ssv2_mc')
    parser.add_argument('candidates', help='json or jsonl with the candidates of each clip')
    parser.add_argument('--validation',
                        help='something-something-v2-validation.json, to check them against')
    return parser.parse_args()


def main() -> None:
    """Read, check and write."""
    args = parse_args()

    def read() -> tuple[Sequence[Split], Sequence[str]]:
        splits, report = read_ssv2_mc(args.candidates, args.validation)
        print(report.summary())
        return splits, ()

    run(read, args)


if __name__ == '__main__':
    main()
