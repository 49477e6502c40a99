"""ActivityNet: the official files to data/activitynet/annotations, a paragraph a video."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'activitynet')
    parser.add_argument('annotation', help='val_1.json')
    parser.add_argument('--train', metavar='JSON',
                        help='train.json: training captions, for QB-Norm')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_activitynet
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_activitynet(args.annotation, train=args.train), ()), args)


if __name__ == '__main__':
    main()
