from .attentive_head import AttentiveHead
from .contrastive_head import VideoTextContrastiveHead
from .linear_probe_head import LinearProbeHead
from .sigmoid_head import VideoTextSigmoidHead
from .transcript_sorting_head import TranscriptSortingHead
from .video_conditioned_zero_shot_head import VideoConditionedZeroShotHead
from .zero_shot_head import ZeroShotHead

__all__ = [
    'AttentiveHead', 'LinearProbeHead', 'TranscriptSortingHead', 'VideoConditionedZeroShotHead',
    'VideoTextContrastiveHead', 'VideoTextSigmoidHead', 'ZeroShotHead'
]
