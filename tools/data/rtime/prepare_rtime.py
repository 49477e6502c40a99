"""RTime (Reversed in Time): the official json to data/rtime/annotations."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'rtime')
    parser.add_argument('annotation', help='test.json')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_rtime
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_rtime(args.annotation), ()), args)


if __name__ == '__main__':
    main()
