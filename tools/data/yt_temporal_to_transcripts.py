"""Convert YT-Temporal-180M's json into the transcript format."""

import argparse

from tvtsv2_mm.preparation.arguments import add_output, add_workers


def main() -> None:
    """Convert and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('sources', nargs='+',
                        help='.json (a video each), .jsonl, .jsonl.gz, or folders of them')
    add_output(parser)
    parser.add_argument('--videos', required=True,
                        help='folder of the videos, in any layout; they are found by their id')
    add_workers(parser)
    args = parser.parse_args()
    from tvtsv2_mm.preparation.converters import convert_yt_temporal
    from tvtsv2_mm.preparation.converters.command_line import run
    run(lambda: convert_yt_temporal(args.sources, args.output, videos=args.videos,
                                    workers=args.workers))


if __name__ == '__main__':
    main()
