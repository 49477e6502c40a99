from .framewise_vit import FramewiseViT
from .interface import VideoBackbone
from .openmmlab_backbone import OpenMMLabBackbone
from .space_time_vit import SpaceTimeViT

__all__ = ['FramewiseViT', 'OpenMMLabBackbone', 'SpaceTimeViT', 'VideoBackbone']
