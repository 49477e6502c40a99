from .backbones import FramewiseViT, OpenMMLabBackbone, SpaceTimeViT, VideoBackbone
from .data_preprocessor import VideoTextDataPreprocessor
from .heads import (
    AttentiveHead,
    LinearProbeHead,
    TranscriptSortingHead,
    VideoTextContrastiveHead,
    VideoTextSigmoidHead,
    ZeroShotHead,
)
from .necks import PartiallyFrozenSiglipTextEncoder, PartiallyFrozenTextEncoder
from .video_text_model import VideoTextModel

__all__ = [
    'AttentiveHead', 'FramewiseViT', 'LinearProbeHead', 'OpenMMLabBackbone',
    'PartiallyFrozenSiglipTextEncoder', 'PartiallyFrozenTextEncoder', 'SpaceTimeViT',
    'TranscriptSortingHead', 'VideoBackbone', 'VideoTextContrastiveHead',
    'VideoTextDataPreprocessor', 'VideoTextModel', 'VideoTextSigmoidHead', 'ZeroShotHead'
]
