"""Kinetics-400: the official csv files to data/kinetics400/annotations."""

from tvtsv2_mm.preparation.arguments import add_names, benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'kinetics400')
    parser.add_argument('--train', help='train.csv')
    parser.add_argument('--val', help='validate.csv or val.csv')
    parser.add_argument('--test', help='test.csv')
    add_names(parser)
    args = parser.parse_args()
    files = {part: getattr(args, part) for part in ('train', 'val', 'test') if getattr(args, part)}
    if not files:
        parser.error('give at least one csv file: --train, --val or --test')
    from tvtsv2_mm.preparation.benchmarks import read_kinetics400
    from tvtsv2_mm.preparation.benchmarks.command_line import named, run
    run(lambda: (read_kinetics400(files), named('kinetics400', args)), args)


if __name__ == '__main__':
    main()
