"""Transforms: between an annotated video and what the model gets."""

from tvtsv2_mm.datasets.transforms.cropping import CropClip
from tvtsv2_mm.datasets.transforms.frame_sampling import SampleClipFrames, ShowFrames
from tvtsv2_mm.datasets.transforms.packing import PackVideoText
from tvtsv2_mm.datasets.transforms.tokenizing import TokenizeText
from tvtsv2_mm.datasets.transforms.transcript_segments import SampleTranscriptSegments
from tvtsv2_mm.datasets.transforms.tube_mask import RandomTubeMask
from tvtsv2_mm.datasets.transforms.video_decoding import DecodeClip, OpenVideo

__all__ = ['CropClip', 'DecodeClip', 'OpenVideo', 'PackVideoText', 'RandomTubeMask',
           'SampleClipFrames', 'SampleTranscriptSegments', 'ShowFrames', 'TokenizeText']
