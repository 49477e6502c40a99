"""CLIP's text encoder with its shallow layers frozen (TVTSv2's degradation-free text side)."""

from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from tvtsv2_mm.registry import MODELS

from .base_text_encoder import BaseTextEncoder


@MODELS.register_module()
class PartiallyFrozenTextEncoder(BaseTextEncoder):
    """`transformers`' CLIP text model, partly frozen.

    Attention is causal, and the embedding is read at the end of the text: what stands behind
    changes nothing.

    Args:
        width, layers, heads, embed_dim, vocab_size, context_length: as in BaseTextEncoder.
        tokenizer, activation, norm_eps: as there.
        end_token: the embedding is read at the first token with this id; None reads it at the
            highest id of the text, which in CLIP's vocabulary is the end token.
        options: what else BaseTextEncoder takes.
    """

    block_list = 'clip.text_model.encoder.layers'
    behind_blocks = ('clip.text_model.final_layer_norm', 'clip.text_projection')
    embeddings = 'clip.text_model.embeddings'
    causal = True

    def __init__(self,
                 *,
                 width: int = 512,
                 layers: int = 12,
                 heads: int = 8,
                 embed_dim: int = 512,
                 vocab_size: int = 49408,
                 context_length: int = 77,
                 activation: str = 'quick_gelu',
                 norm_eps: float = 1e-5,
                 tokenizer: str = 'clip',
                 end_token: int | None = None,
                 **options: Any) -> None:
        super().__init__(
            width=width, layers=layers, heads=heads, embed_dim=embed_dim, vocab_size=vocab_size,
            context_length=context_length, activation=activation, norm_eps=norm_eps,
            tokenizer=tokenizer, end_token=end_token, **options)

    def _build(self, config: Any) -> None:
        self.clip = CLIPTextModelWithProjection(
            CLIPTextConfig(projection_dim=self.embed_dim, **config))

    def longest_text(self, tokens: Tensor) -> int:
        """Columns up to the last end token of the batch."""
        return int(self._ends(tokens).max()) + 1

    def encode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """As in BaseTextEncoder.

        Raises:
            ValueError: a text has no end token.
        """
        text_model = self.clip.text_model
        if mask is None:
            if self.end_token is not None and not (tokens == self.end_token).any(dim=-1).all():
                raise ValueError(
                    f'a text has no end token (neck.end_token={self.end_token}): this model reads '
                    f'the tokens of {self.tokenizer!r}, not those that TokenizeText makes')
            hidden = text_model(input_ids=tokens).last_hidden_state
        else:
            hidden = text_model.final_layer_norm(text_model.encoder(
                inputs_embeds=text_model.embeddings(input_ids=tokens),
                attention_mask=mask).last_hidden_state)
        rows = torch.arange(tokens.shape[0], device=tokens.device)
        return self.clip.text_projection(hidden[rows, self._ends(tokens)])

    def _ends(self, tokens: Tensor) -> Tensor:
        """(N,) where the embeddings of texts (N, L) are read."""
        at = tokens if self.end_token is None else (tokens == self.end_token).int()
        return at.argmax(dim=-1)
