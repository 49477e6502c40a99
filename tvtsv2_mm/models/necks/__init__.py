from .text_encoder import PartiallyFrozenTextEncoder

__all__ = ['PartiallyFrozenTextEncoder']
