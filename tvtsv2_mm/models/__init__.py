from .backbones import (
    FramewiseViT,
    HuggingFaceBackbone,
    InternVideoViT,
    OpenMMLabBackbone,
    SpaceTimeViT,
    VideoBackbone,
    XClipBackbone,
)
from .data_preprocessor import VideoTextDataPreprocessor
from .heads import (
    AttentiveHead,
    LinearProbeHead,
    TranscriptSortingHead,
    VideoConditionedZeroShotHead,
    VideoTextContrastiveHead,
    VideoTextSigmoidHead,
    ZeroShotHead,
)
from .necks import (
    HuggingFaceTextEncoder,
    PartiallyFrozenSiglipTextEncoder,
    PartiallyFrozenTextEncoder,
)
from .video_text_model import VideoTextModel

__all__ = [
    'AttentiveHead', 'FramewiseViT', 'HuggingFaceBackbone', 'HuggingFaceTextEncoder',
    'InternVideoViT', 'LinearProbeHead', 'OpenMMLabBackbone', 'PartiallyFrozenSiglipTextEncoder',
    'PartiallyFrozenTextEncoder', 'SpaceTimeViT', 'TranscriptSortingHead', 'VideoBackbone',
    'VideoConditionedZeroShotHead', 'VideoTextContrastiveHead', 'VideoTextDataPreprocessor',
    'VideoTextModel', 'VideoTextSigmoidHead', 'XClipBackbone', 'ZeroShotHead'
]
