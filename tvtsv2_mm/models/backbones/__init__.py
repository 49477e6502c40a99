from .framewise_vit import FramewiseViT
from .space_time_vit import SpaceTimeViT

__all__ = ['FramewiseViT', 'SpaceTimeViT']
