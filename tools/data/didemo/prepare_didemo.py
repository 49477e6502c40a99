"""DiDeMo: the official json to data/didemo/annotations, a paragraph a video."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'didemo')
    parser.add_argument('annotation', help='test_data.json')
    parser.add_argument('--val', metavar='JSON', help='val_data.json')
    parser.add_argument('--train', metavar='JSON',
                        help='train_data.json: training captions, for QB-Norm')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_didemo
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    files = dict(test=args.annotation, val=args.val, train=args.train)
    run(lambda: ([split for part, file in files.items() if file is not None
                  for split in read_didemo(file, part)], ()), args)


if __name__ == '__main__':
    main()
