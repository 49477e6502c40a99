"""What the converters in tools/data share: options, printing, errors."""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool

from tvtsv2_mm.preparation.converters.report import ConversionReport
from tvtsv2_mm.preparation.converters.transcript_files import Reader, convert_transcript_files


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the annotation file that every converter writes."""
    parser.add_argument('output', help='annotation file to write, .jsonl; a run that was killed '
                                       'goes on where it was when it is started again')


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    parser.add_argument('--workers', type=int, default=1, help='processes (default: %(default)s)')


def run(conversion: Callable[[], ConversionReport]) -> None:
    """Run a conversion as a script does: print the report, end with an error if nothing came out.

    Raises:
        SystemExit: If the input is wrong as a whole, or every record was dropped.
    """
    try:
        report = conversion()
    except (FileNotFoundError, ImportError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    except BrokenProcessPool:
        raise SystemExit('error: one of the processes was killed, maybe for want of memory; the '
                         'same command goes on from here, fewer --workers take less') from None
    print(report.summary())
    if not report.num_written:
        raise SystemExit('error: nothing was written')


def convert_beside_videos(read: Reader, patterns: Sequence[str], description: str | None) -> None:
    """The whole of a script that converts one kind of transcript files.

    Args:
        read: Reads one file.
        patterns: Names of the files.
        description: Of the script, for its help.
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
    args = parser.parse_args()
    run(lambda: convert_transcript_files(
        read, args.output, patterns=args.patterns, videos=args.videos,
        transcripts=args.transcripts, any_folder=args.any_folder, workers=args.workers))
