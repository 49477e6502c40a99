"""Chirality in Action: a csv of the authors to data/cia_<part>/annotations."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'cia_PART')
    parser.add_argument('annotation', help='cia-PART-validation.csv')
    parser.add_argument('--part', choices=('ssv2', 'epic', 'charades'), required=True,
                        help='which data set the videos are of')
    args = parser.parse_args()
    args.out = args.out.replace('PART', args.part)
    from tvtsv2_mm.preparation.benchmarks import read_cia
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_cia(args.annotation, args.part), ()), args)


if __name__ == '__main__':
    main()
