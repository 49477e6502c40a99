"""A csv of your own videos (path,label or path,caption) to annotations."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'own')
    parser.add_argument('csv', help='columns path and label, or path and caption; and if wanted '
                                    'split (train, val, test; without it all are test)')
    parser.add_argument('--classes', help='class names in the order of the labels, one a line '
                                          '(default: the labels of the csv, sorted)')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_own_csv
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: read_own_csv(args.csv, classes=args.classes), args)


if __name__ == '__main__':
    main()
