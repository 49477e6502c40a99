"""Convert .vtt and .srt subtitles, beside the videos or elsewhere, into the transcript format."""

from tvtsv2_mm.preparation.converters import read_subtitles
from tvtsv2_mm.preparation.converters.command_line import convert_beside_videos
from tvtsv2_mm.preparation.converters.subtitles import PATTERNS

if __name__ == '__main__':
    convert_beside_videos(read_subtitles, PATTERNS, __doc__)
