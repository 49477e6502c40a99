from .text_encoder import PartiallyFrozenTextEncoder, longest_text

__all__ = ['PartiallyFrozenTextEncoder', 'longest_text']
