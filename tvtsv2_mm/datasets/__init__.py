from . import transforms
from .caption_video_dataset import CaptionVideoDataset
from .clips_of_video import collate_clips
from .labeled_video_dataset import LabeledVideoDataset
from .present_datasets import PresentDatasets
from .shards import ShardedCaptionDataset, ShardedTranscriptDataset
from .transcript_video_dataset import TranscriptVideoDataset
from .video_text_dataset import VideoTextDataset

__all__ = [
    'CaptionVideoDataset',
    'LabeledVideoDataset',
    'PresentDatasets',
    'ShardedCaptionDataset',
    'ShardedTranscriptDataset',
    'TranscriptVideoDataset',
    'VideoTextDataset',
    'collate_clips',
    'transforms',
]
