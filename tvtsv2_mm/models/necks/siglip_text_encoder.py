"""SigLIP's text encoder with its shallow layers frozen."""

from typing import Any

from torch import Tensor
from transformers import SiglipTextConfig, SiglipTextModel

from tvtsv2_mm.registry import MODELS

from .base_text_encoder import BaseTextEncoder


@MODELS.register_module()
class PartiallyFrozenSiglipTextEncoder(BaseTextEncoder):
    """`transformers`' SigLIP text model, partly frozen.

    All tokens attend to all, and the embedding is read at the last one, whatever it is: the padding
    is part of what the model was trained on. So a text has exactly ``context_length`` tokens.

    Args:
        width, layers, heads, embed_dim, vocab_size, context_length: as in BaseTextEncoder; the
            defaults are those of SigLIP 2, ViT-B.
        tokenizer, activation, norm_eps: as there.
        options: what else BaseTextEncoder takes.
    """

    block_list = 'siglip.encoder.layers'
    behind_blocks = ('siglip.final_layer_norm', 'siglip.head')
    embeddings = 'siglip.embeddings'
    causal = False

    def __init__(self,
                 *,
                 width: int = 768,
                 layers: int = 12,
                 heads: int = 12,
                 embed_dim: int = 768,
                 vocab_size: int = 256000,
                 context_length: int = 64,
                 activation: str = 'gelu_pytorch_tanh',
                 norm_eps: float = 1e-6,
                 tokenizer: str = 'GemmaTokenizer',
                 **options: Any) -> None:
        super().__init__(
            width=width, layers=layers, heads=heads, embed_dim=embed_dim, vocab_size=vocab_size,
            context_length=context_length, activation=activation, norm_eps=norm_eps,
            tokenizer=tokenizer, **options)

    def _build(self, config: Any) -> None:
        model = SiglipTextModel(SiglipTextConfig(projection_size=self.embed_dim, **config))
        # transformers 4 has the model within the model.
        self.siglip: Any = getattr(model, 'text_model', model)

    def longest_text(self, tokens: Tensor) -> int:
        """All columns: the padding is read."""
        return tokens.shape[-1]

    def encode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """As in BaseTextEncoder.

        Raises:
            ValueError: the texts are not padded to ``context_length``.
        """
        if tokens.shape[-1] != self.context_length:
            raise ValueError(
                f'texts of {tokens.shape[-1]} tokens: this model reads the padding, so that all '
                f'texts must have neck.context_length={self.context_length} tokens: set '
                'context_length of TokenizeText to the same value')
        hidden = self.siglip.encoder(
            inputs_embeds=self.siglip.embeddings(input_ids=tokens),
            attention_mask=mask).last_hidden_state
        return self.siglip.head(self.siglip.final_layer_norm(hidden[:, -1]))
