from .asr_json import read_asr_json
from .howto100m import convert_howto100m
from .report import ConversionReport, DropRecord, convert
from .subtitles import read_subtitles
from .transcript_files import convert_transcript_files
from .webvid import convert_webvid
from .yt_temporal import convert_yt_temporal

__all__ = [
    'ConversionReport',
    'DropRecord',
    'convert',
    'convert_howto100m',
    'convert_transcript_files',
    'convert_webvid',
    'convert_yt_temporal',
    'read_asr_json',
    'read_subtitles',
]
