from .framewise_vit import FramewiseViT
from .interface import VideoBackbone
from .internvideo_vit import InternVideoViT
from .openmmlab_backbone import OpenMMLabBackbone
from .space_time_vit import SpaceTimeViT

__all__ = ['FramewiseViT', 'InternVideoViT', 'OpenMMLabBackbone', 'SpaceTimeViT', 'VideoBackbone']
