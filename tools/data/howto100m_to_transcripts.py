"""Convert HowTo100M's captions, or a corpus in its shape, into the transcript format."""

import argparse

from tvtsv2_mm.preparation.arguments import add_output, add_workers
from tvtsv2_mm.preparation.options import HOWTO100M_COLUMNS


def main() -> None:
    """Convert and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('captions', help='caption.json or raw_caption.json, a csv with a caption '
                                         'in each row, or a folder with a csv for each video')
    add_output(parser)
    parser.add_argument('--videos', required=True,
                        help='folder of the videos, in any layout; they are found by their id')
    parser.add_argument('--list', dest='video_list',
                        help='csv of the videos to take, such as HowTo100M_v1.csv (default: all)')
    parser.add_argument('--columns', nargs=4, default=HOWTO100M_COLUMNS,
                        metavar=('VIDEO', 'START', 'END', 'TEXT'),
                        help='columns of a csv of captions; - for END if it has none '
                             f'(default: {" ".join(HOWTO100M_COLUMNS)}; HTM-AA: vid timestamp '
                             '- text)')
    add_workers(parser)
    args = parser.parse_args()
    from tvtsv2_mm.preparation.converters import convert_howto100m
    from tvtsv2_mm.preparation.converters.command_line import run
    run(lambda: convert_howto100m(
        args.captions, args.output, videos=args.videos, video_list=args.video_list,
        columns=args.columns, workers=args.workers))


if __name__ == '__main__':
    main()
