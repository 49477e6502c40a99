"""Convert the json of speech recognisers (Whisper, WhisperX, vosk) into the transcript format."""

from tvtsv2_mm.preparation.converters import read_asr_json
from tvtsv2_mm.preparation.converters.asr_json import PATTERNS
from tvtsv2_mm.preparation.converters.command_line import convert_beside_videos

if __name__ == '__main__':
    convert_beside_videos(read_asr_json, PATTERNS, __doc__)
