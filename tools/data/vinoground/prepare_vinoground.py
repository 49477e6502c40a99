"""Vinoground: the official csv to data/vinoground/annotations, the two captions a video."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'vinoground')
    parser.add_argument('annotation', help='vinoground.csv')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_vinoground
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_vinoground(args.annotation), ()), args)


if __name__ == '__main__':
    main()
