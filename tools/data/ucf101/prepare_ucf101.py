"""UCF101: the official split files to data/ucf101/annotations."""

from tvtsv2_mm.preparation.arguments import add_names, benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'ucf101')
    parser.add_argument('annotations', help='folder ucfTrainTestlist')
    parser.add_argument('--split', type=int, default=1, help='1, 2 or 3 (default: %(default)s)')
    add_names(parser)
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_ucf101
    from tvtsv2_mm.preparation.benchmarks.command_line import named, run
    run(lambda: (read_ucf101(args.annotations, args.split), named('ucf101', args)), args)


if __name__ == '__main__':
    main()
