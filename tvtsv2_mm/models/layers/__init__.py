from .attend import attend
from .divided_attention import DividedAttention
from .pooling import AttentionPooling, ClassTokenPooling
from .rotary_positions import RotaryPositions2D
from .space_time_block import SpaceTimeBlock
from .token_rows import TokenRows

__all__ = [
    'AttentionPooling', 'ClassTokenPooling', 'DividedAttention', 'RotaryPositions2D',
    'SpaceTimeBlock', 'TokenRows', 'attend'
]
