from .attend import attend
from .divided_attention import DividedAttention
from .space_time_block import SpaceTimeBlock
from .token_rows import TokenRows

__all__ = ['DividedAttention', 'SpaceTimeBlock', 'TokenRows', 'attend']
