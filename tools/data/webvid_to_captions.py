"""Convert a csv of WebVid into the caption format."""

import argparse

from tvtsv2_mm.preparation.arguments import add_output
from tvtsv2_mm.preparation.options import WEBVID_LAYOUT


def main() -> None:
    """Convert and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='csv file')
    add_output(parser)
    parser.add_argument('--videos', help='folder of the videos; rows without a file are dropped '
                                         '(default: all rows are taken)')
    parser.add_argument('--layout', default=WEBVID_LAYOUT,
                        help='path of a video from the columns of its row (default: %(default)s)')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.converters import convert_webvid
    from tvtsv2_mm.preparation.converters.command_line import run
    run(lambda: convert_webvid(args.source, args.output, videos=args.videos, layout=args.layout))


if __name__ == '__main__':
    main()
