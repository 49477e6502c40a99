"""LSMDC: the official annotation files to data/lsmdc/annotations."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'lsmdc')
    parser.add_argument('annotation', help='LSMDC16_challenge_1000_publictect.csv')
    parser.add_argument('--train', metavar='CSV',
                        help='LSMDC16_annos_training.csv: training captions, for QB-Norm')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_lsmdc
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_lsmdc(args.annotation, train=args.train), ()), args)


if __name__ == '__main__':
    main()
