"""Test of Time, synthetic: the official csv to data/test_of_time/annotations."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'test_of_time')
    parser.add_argument('annotation', help='splits/test_v2.0.csv')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_test_of_time
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_test_of_time(args.annotation), ()), args)


if __name__ == '__main__':
    main()
