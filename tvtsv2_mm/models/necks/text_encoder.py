"""CLIP's text encoder with its shallow layers frozen (TVTSv2's degradation-free text side)."""

from mmengine.model import BaseModule
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from tvtsv2_mm.registry import MODELS


@MODELS.register_module()
class PartiallyFrozenTextEncoder(BaseModule):
    """`transformers`' CLIP text model of which only the deep blocks are tuned.

    Frozen parameters have ``requires_grad=False``: they get no gradient, and the optimiser wrapper
    constructor of this package leaves them out. With ``freeze_embeddings=True`` nothing before the
    first tuned block needs a gradient, so autograd keeps no activation of the frozen part.

    Args:
        width: token width.
        layers: number of blocks.
        heads: attention heads.
        embed_dim: width E of the joint embedding space.
        frozen_layers: how many blocks, from the input side, are frozen. The paper freezes three
            quarters: 9 of 12, 18 of 24.
        freeze_embeddings: also freeze the token and position embeddings. The release tunes them,
            so that its gradient crosses the frozen blocks.
        vocab_size: rows of the token embedding.
        context_length: rows of the position embedding.
        activation: 'quick_gelu' (OpenAI-type) or 'gelu' (OpenCLIP-type).
        frozen: True takes all parameters out of training.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(self,
                 *,
                 width: int = 512,
                 layers: int = 12,
                 heads: int = 8,
                 embed_dim: int = 512,
                 frozen_layers: int = 9,
                 freeze_embeddings: bool = False,
                 vocab_size: int = 49408,
                 context_length: int = 77,
                 activation: str = 'quick_gelu',
                 frozen: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not 0 <= frozen_layers <= layers:
            raise ValueError(
                f'frozen_layers must lie in 0..{layers} (the number of layers), '
                f'not {frozen_layers}')
        self.context_length = context_length
        self.clip = CLIPTextModelWithProjection(
            CLIPTextConfig(
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                projection_dim=embed_dim,
                vocab_size=vocab_size,
                max_position_embeddings=context_length,
                hidden_act=activation,
                # transformers' sign for CLIP's own rule: the embedding is read at the token with
                # the highest id, which is the end token.
                eos_token_id=2))
        for block in self.clip.text_model.encoder.layers[:frozen_layers]:
            block.requires_grad_(False)
        if freeze_embeddings:
            self.clip.text_model.embeddings.requires_grad_(False)
        if frozen:
            self.requires_grad_(False)

    def forward(self, tokens: Tensor, padded: bool = True) -> Tensor:
        """Encode texts.

        Args:
            tokens: (N, L) token ids, padded with 0 behind the end token.
            padded: cut the padding that all texts have. Finding it waits for the device: False,
                where the caller has cut it. The embeddings are the same either way.

        Returns:
            (N, E), not l2-normalised.

        Raises:
            ValueError: the texts are longer than the position table.
        """
        if tokens.shape[-1] > self.context_length:
            raise ValueError(
                f'texts of {tokens.shape[-1]} tokens do not fit neck.context_length='
                f'{self.context_length}: set context_length of TokenizeText to the same value')
        if padded:
            tokens = tokens[:, :longest_text(tokens)]
        return self.clip(input_ids=tokens).text_embeds


def longest_text(tokens: Tensor) -> int:
    """Columns of (..., L) token ids that are read: up to the last end token, the highest id.

    Causal attention: what stands behind it changes no embedding.
    """
    return int(tokens.argmax(dim=-1).max()) + 1
