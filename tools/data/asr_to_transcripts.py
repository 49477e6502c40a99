"""Convert the json of speech recognisers (Whisper, WhisperX, vosk) into the transcript format."""

import argparse

from tvtsv2_mm.datasets.converters import convert_transcript_files, read_asr_json
from tvtsv2_mm.datasets.converters.asr_json import PATTERNS
from tvtsv2_mm.datasets.converters.report import run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('videos', help='folder of the videos')
    parser.add_argument('output', help='annotation file to write, .jsonl')
    parser.add_argument('--transcripts', help='folder of the json files (default: that of the '
                                              'videos)')
    parser.add_argument('--patterns', nargs='+', default=PATTERNS,
                        help='names of the json files, the preferred ones first, such as '
                             '"*.words.json" (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=1, help='processes (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    """Convert and report."""
    args = parse_args()
    run(lambda: convert_transcript_files(
        read_asr_json, args.output, patterns=args.patterns, videos=args.videos,
        transcripts=args.transcripts, workers=args.workers))


if __name__ == '__main__':
    main()
