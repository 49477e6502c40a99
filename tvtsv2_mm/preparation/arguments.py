"""Arguments that the scripts in tools/data share."""

import argparse
from collections.abc import Sequence


def benchmark_parser(description: str | None, benchmark: str) -> argparse.ArgumentParser:
    """Parser with the options of every benchmark; each script adds its annotation files."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--videos', help='folder of the videos, any layout (default: OUT/videos)')
    parser.add_argument('--out', default=f'data/{benchmark}',
                        help='folder to write to (default: %(default)s, where the configs look)')
    parser.add_argument('--allow-missing', action='store_true',
                        help='leave videos out that are missing; they are listed in any case')
    parser.add_argument('--allow-counts', action='store_true',
                        help='take an annotation of another number of videos than the official one')
    return parser


def add_names(parser: argparse.ArgumentParser) -> None:
    """Add the choice of class names."""
    parser.add_argument('--names', choices=('prompt', 'official'), default='prompt',
                        help='class names for classes.txt: that read well behind "a person", or '
                             'as the data set spells them (default: %(default)s)')


def parse_kinetics(description: str | None,
                   benchmark: str) -> tuple[argparse.Namespace, dict[str, str]]:
    """Read the command line of a script for a version of Kinetics: its options, and the files."""
    parser = benchmark_parser(description, benchmark)
    parser.add_argument('--train', help='train.csv')
    parser.add_argument('--val', help='validate.csv or val.csv')
    parser.add_argument('--test', help='test.csv')
    add_names(parser)
    args = parser.parse_args()
    files = {part: getattr(args, part) for part in ('train', 'val', 'test') if getattr(args, part)}
    if not files:
        parser.error('give at least one csv file: --train, --val or --test')
    return args, files


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the annotation file that every converter writes."""
    parser.add_argument('output', help='annotation file to write, .jsonl; a run that was killed '
                                       'goes on where it was when it is started again')


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    parser.add_argument('--workers', type=int, default=1, help='processes (default: %(default)s)')


def parse_beside_videos(description: str | None, patterns: Sequence[str]) -> argparse.Namespace:
    """Read the command line of a script that converts one kind of transcript files.

    Args:
        description: Of the script, for its help.
        patterns: Names of the files.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('videos', help='folder of the videos')
    add_output(parser)
    parser.add_argument('--transcripts', help='folder of the transcript files (default: that of '
                                              'the videos)')
    parser.add_argument('--patterns', nargs='+', default=patterns,
                        help='names of the transcript files, the preferred ones first, such as '
                             f'"*.en{patterns[0][1:]}" (default: %(default)s)')
    parser.add_argument('--any-folder', action='store_true',
                        help='a transcript need not lie in the same folder as the video of its '
                             'name, if there is one of each')
    add_workers(parser)
    return parser.parse_args()
