"""HMDB51: the official split files to data/hmdb51/annotations."""

from tvtsv2_mm.preparation.arguments import add_names, benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'hmdb51')
    parser.add_argument('annotations', help='folder testTrainMulti_7030_splits')
    parser.add_argument('--split', type=int, default=1, help='1, 2 or 3 (default: %(default)s)')
    add_names(parser)
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_hmdb51
    from tvtsv2_mm.preparation.benchmarks.command_line import named, run
    run(lambda: (read_hmdb51(args.annotations, args.split), named('hmdb51', args)), args)


if __name__ == '__main__':
    main()
