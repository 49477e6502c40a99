"""What the makers of annotations and shards are told, with the defaults of the command lines.

Apart from the makers, so that ``--help`` and a wrong option need none of their imports.
"""

from dataclasses import asdict, dataclass

ASR_PATTERNS = ('*.json', )
SUBTITLE_PATTERNS = ('*.vtt', '*.srt')
HOWTO100M_COLUMNS = ('video_id', 'start', 'end', 'text')
WEBVID_LAYOUT = '{page_dir}/{videoid}.mp4'
# Whisper as faster-whisper reads it, by the name of its size: where it is on the hub.
WHISPER_MODELS = {
    **{size: f'hf://Systran/faster-whisper-{size}' for size in (
        'tiny', 'tiny.en', 'base', 'base.en', 'small', 'small.en', 'medium', 'medium.en',
        'large-v2', 'large-v3')},
    'large-v3-turbo': 'hf://mobiuslabsgmbh/faster-whisper-large-v3-turbo',
}


@dataclass(frozen=True, kw_only=True)
class EncodingConfig:
    """How videos are encoded (H.264 in mp4)."""

    short_side: int = 288  # pixels; smaller videos keep their size
    key_seconds: float = 1.0  # largest distance between two key frames
    crf: float = 23  # quality of x264: less is better and larger
    preset: str = 'veryfast'  # of x264: slower is smaller

    def __post_init__(self) -> None:
        if self.short_side < 16 or self.key_seconds <= 0 or not 0 <= self.crf <= 51:
            raise ValueError('short_side must be at least 16 pixels, key_seconds positive and crf '
                             f'0..51; got {asdict(self)}')


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """How narrated videos are cut; all in seconds."""

    max_gap: float = 8.0  # silence up to this length does not end a part
    margin: float = 1.0  # kept before the first word and after the last one
    # Shorter parts are dropped; four segments of 3 s with their gaps take 15 s.
    min_seconds: float = 15.0
    max_seconds: float = 60.0  # longer parts are cut into equal ones no longer than this

    def __post_init__(self) -> None:
        if not (self.max_gap >= 0 and self.margin >= 0
                and 0 <= 2 * self.min_seconds <= self.max_seconds):
            raise ValueError(
                'max_gap and margin must not be negative, and max_seconds at least twice '
                f'min_seconds, so that no cut makes too short a part; got {self}')
