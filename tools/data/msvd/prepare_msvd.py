"""MSVD: the official files to data/msvd/annotations, all sentences of a clip."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'msvd')
    parser.add_argument('annotation', help='AllVideoDescriptions.txt')
    parser.add_argument('test_list', help='test_list.txt, names of the clips of the test')
    parser.add_argument('--train-list', metavar='TXT',
                        help='train_list.txt: training captions, for QB-Norm')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_msvd
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_msvd(args.annotation, args.test_list, train_list=args.train_list), ()), args)


if __name__ == '__main__':
    main()
