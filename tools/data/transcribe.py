"""Transcribe videos without subtitles, by Whisper; goes on where it was killed.

    python tools/data/transcribe.py VIDEOS                       # VIDEOS/.../NAME.whisper.json
    python tools/data/asr_to_transcripts.py VIDEOS VIDEOS/transcripts.jsonl

Needs faster-whisper: pip install 'tvtsv2_mm[speech]'.
"""

import argparse
import os
import sys

from tvtsv2_mm.preparation.options import WHISPER_MODELS


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('videos', help='folder of the videos')
    parser.add_argument('--out', metavar='FOLDER',
                        help='folder of the transcripts, by default that of the videos, where '
                        'extract_features.py looks for them')
    parser.add_argument('--model', default='small',
                        help=f'{", ".join(WHISPER_MODELS)}, hf://OWNER/MODEL, or a folder in the '
                        'format of CTranslate2 (%(default)s)')
    parser.add_argument('--language', metavar='CODE',
                        help='of what is said, such as en; by default it is heard')
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--compute-type', default='default',
                        help="CTranslate2's: int8 is quick on a CPU, float16 on a GPU; by default "
                        'as the weights are')
    parser.add_argument('--all', action='store_true',
                        help='transcribe videos too that have .vtt or .srt beside them')
    parser.add_argument('--max-failed', type=float, default=0.2, metavar='SHARE',
                        help='stop when more of the videos fail, from 20 on (%(default)s)')
    return parser


def main() -> None:
    """Transcribe."""
    parser = build_parser()
    args = parser.parse_args()
    try:
        from tvtsv2_mm.preparation.transcription import load_whisper, transcribe_folder
        report = transcribe_folder(
            args.videos,
            lambda: load_whisper(args.model, language=args.language, device=args.device,
                                 compute_type=args.compute_type).hear,
            dict(model=os.path.basename(os.path.normpath(args.model)), language=args.language),
            out=args.out, with_subtitles=args.all, max_failed=args.max_failed)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    except RuntimeError as error:
        sys.exit(f'{parser.prog}: {error}')
    print(report.summary())
    if not (report.made or report.silent or report.there or report.subtitled):
        sys.exit('error: nothing was transcribed')


if __name__ == '__main__':
    main()
