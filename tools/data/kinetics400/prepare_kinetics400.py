"""Kinetics-400: the official csv files to data/kinetics400/annotations."""

from tvtsv2_mm.preparation.arguments import parse_kinetics


def main() -> None:
    """Read, check and write."""
    args, files = parse_kinetics(__doc__, 'kinetics400')
    from tvtsv2_mm.preparation.benchmarks import read_kinetics
    from tvtsv2_mm.preparation.benchmarks.command_line import named, run
    run(lambda: (read_kinetics('kinetics400', files), named('kinetics400', args)), args)


if __name__ == '__main__':
    main()
