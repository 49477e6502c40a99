"""SSv2-MC: a file of candidate sentences to data/ssv2_mc/annotations."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'ssv2_mc')
    parser.add_argument('candidates', help='json or jsonl with the candidates of each clip')
    parser.add_argument('--validation',
                        help='something-something-v2-validation.json, to check them against')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import Split, read_ssv2_mc
    from tvtsv2_mm.preparation.benchmarks.command_line import run

    def read() -> tuple[list[Split], tuple[()]]:
        splits, report = read_ssv2_mc(args.candidates, args.validation)
        print(report.summary())
        return splits, ()

    run(read, args)


if __name__ == '__main__':
    main()
