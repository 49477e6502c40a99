from .divided_attention import DividedAttention
from .space_time_block import SpaceTimeBlock, build_activation

__all__ = ['DividedAttention', 'SpaceTimeBlock', 'build_activation']
