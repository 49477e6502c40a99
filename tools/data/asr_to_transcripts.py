"""Convert the json of speech recognisers (Whisper, WhisperX, vosk) into the transcript format."""

from tvtsv2_mm.preparation.arguments import parse_beside_videos
from tvtsv2_mm.preparation.options import ASR_PATTERNS


def main() -> None:
    """Convert and report."""
    args = parse_beside_videos(__doc__, ASR_PATTERNS)
    from tvtsv2_mm.preparation.converters import read_asr_json
    from tvtsv2_mm.preparation.converters.command_line import run_beside_videos
    run_beside_videos(read_asr_json, args)


if __name__ == '__main__':
    main()
