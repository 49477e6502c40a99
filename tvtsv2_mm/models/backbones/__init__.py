from .framewise_vit import FramewiseViT
from .hugging_face_backbone import HuggingFaceBackbone, XClipBackbone
from .interface import VideoBackbone
from .internvideo_vit import InternVideoViT
from .openmmlab_backbone import OpenMMLabBackbone
from .space_time_vit import SpaceTimeViT

__all__ = ['FramewiseViT', 'HuggingFaceBackbone', 'InternVideoViT', 'OpenMMLabBackbone',
           'SpaceTimeViT', 'VideoBackbone', 'XClipBackbone']
