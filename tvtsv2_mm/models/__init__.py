from .backbones import FramewiseViT, SpaceTimeViT
from .data_preprocessor import VideoTextDataPreprocessor
from .heads import (
    AttentiveHead,
    LinearProbeHead,
    TranscriptSortingHead,
    VideoTextContrastiveHead,
    ZeroShotHead,
)
from .necks import PartiallyFrozenTextEncoder
from .video_text_model import VideoTextModel

__all__ = [
    'AttentiveHead', 'FramewiseViT', 'LinearProbeHead', 'PartiallyFrozenTextEncoder',
    'SpaceTimeViT', 'TranscriptSortingHead', 'VideoTextContrastiveHead',
    'VideoTextDataPreprocessor', 'VideoTextModel', 'ZeroShotHead'
]
