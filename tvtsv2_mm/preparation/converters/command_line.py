"""What the converters in tools/data share: printing, errors."""

import argparse
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

from tvtsv2_mm.preparation.converters.report import ConversionReport
from tvtsv2_mm.preparation.converters.transcript_files import Reader, convert_transcript_files


def run(conversion: Callable[[], ConversionReport]) -> None:
    """Run a conversion as a script does: print the report, end with an error if nothing came out.

    Raises:
        SystemExit: If the input is wrong as a whole, or every record was dropped.
    """
    try:
        report = conversion()
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    except BrokenProcessPool:
        raise SystemExit('error: one of the processes was killed, maybe for want of memory; the '
                         'same command goes on from here, fewer --workers take less') from None
    print(report.summary())
    if not report.num_written:
        raise SystemExit('error: nothing was written')


def run_beside_videos(read: Reader, args: argparse.Namespace) -> None:
    """Convert one kind of transcript files, as :func:`run` does.

    Args:
        read: Reads one file.
        args: Of :func:`tvtsv2_mm.preparation.arguments.parse_beside_videos`.
    """
    run(lambda: convert_transcript_files(
        read, args.output, patterns=args.patterns, videos=args.videos,
        transcripts=args.transcripts, any_folder=args.any_folder, workers=args.workers))
