from .hugging_face_text_encoder import HuggingFaceTextEncoder
from .siglip_text_encoder import PartiallyFrozenSiglipTextEncoder
from .text_encoder import PartiallyFrozenTextEncoder

__all__ = ['HuggingFaceTextEncoder', 'PartiallyFrozenSiglipTextEncoder',
           'PartiallyFrozenTextEncoder']
