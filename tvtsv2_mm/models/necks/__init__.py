from .siglip_text_encoder import PartiallyFrozenSiglipTextEncoder
from .text_encoder import PartiallyFrozenTextEncoder

__all__ = ['PartiallyFrozenSiglipTextEncoder', 'PartiallyFrozenTextEncoder']
