"""Convert .vtt and .srt subtitles, beside the videos or elsewhere, into the transcript format."""

from tvtsv2_mm.preparation.arguments import parse_beside_videos
from tvtsv2_mm.preparation.options import SUBTITLE_PATTERNS


def main() -> None:
    """Convert and report."""
    args = parse_beside_videos(__doc__, SUBTITLE_PATTERNS)
    from tvtsv2_mm.preparation.converters import read_subtitles
    from tvtsv2_mm.preparation.converters.command_line import run_beside_videos
    run_beside_videos(read_subtitles, args)


if __name__ == '__main__':
    main()
