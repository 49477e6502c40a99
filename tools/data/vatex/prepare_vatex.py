"""VATEX: the official files to data/vatex/annotations, the English sentences."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'vatex')
    parser.add_argument('annotation', help='vatex_validation_v1.0.json')
    parser.add_argument('test_list', help='tst_names.npy, or a text file: names of the clips of '
                                          'the test')
    parser.add_argument('--train', metavar='JSON',
                        help='vatex_training_v1.0.json: training captions, for QB-Norm')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_vatex
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_vatex(args.annotation, args.test_list, train=args.train), ()), args)


if __name__ == '__main__':
    main()
