"""CLIP's text encoder with its shallow layers frozen (TVTSv2's degradation-free text side)."""

import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from tvtsv2_mm.models.lora import add_lora
from tvtsv2_mm.models.pretrained_part import PretrainedPart
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.tokenizer import END_TOKEN, VOCAB_SIZE


@MODELS.register_module()
class PartiallyFrozenTextEncoder(PretrainedPart):
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
        activation: 'quick_gelu' (OpenAI-type), 'gelu' (OpenCLIP-type) or 'gelu_pytorch_tanh'.
        mlp_width: of the blocks' hidden layer; None for 4 * width.
        norm_eps: what is added to the variance in the layer norms.
        end_token: the embedding is read at the first token with this id; None reads it at the
            highest id of the text, which in CLIP's vocabulary is the end token.
        tokenizer: whose tokens the texts are: 'clip', which this package makes, or the name of
            another, whose tokens are made elsewhere.
        frozen: True takes all parameters out of training.
        lora: adapters that are trained in the place of all weights, in the blocks that are not
            frozen: ``dict(rank=8)``, see :func:`~tvtsv2_mm.models.lora.add_lora`.
        init_cfg: mmengine's initialisation config; 'Pretrained' as in PretrainedPart.
    """

    part = 'neck'
    block_list = 'clip.text_model.encoder.layers'
    behind_blocks = ('clip.text_model.final_layer_norm', 'clip.text_projection')

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
                 mlp_width: int | None = None,
                 norm_eps: float = 1e-5,
                 end_token: int | None = None,
                 tokenizer: str = 'clip',
                 frozen: bool = False,
                 lora: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if width % heads:
            raise ValueError(f'width ({width}) must be a multiple of heads ({heads})')
        if not 0 <= frozen_layers <= layers:
            raise ValueError(
                f'frozen_layers must lie in 0..{layers} (the number of layers), '
                f'not {frozen_layers}')
        if tokenizer == 'clip' and (
                vocab_size > VOCAB_SIZE or end_token not in (None, vocab_size - 1, END_TOKEN)):
            raise ValueError(
                f'neck.vocab_size={vocab_size} with neck.end_token={end_token} is not of the '
                f"tokenizer 'clip', by which texts become tokens here: it has {VOCAB_SIZE} tokens, "
                f'the last of which ends a text. Name another: neck.tokenizer=NAME')
        mlp_width = mlp_width or 4 * width
        self.end_token = None if end_token == vocab_size - 1 else end_token
        self.tokenizer = tokenizer
        # Loaded weights must be of a model of these.
        self.built_with = dict(
            width=width, layers=layers, heads=heads, mlp_width=mlp_width, embed_dim=embed_dim,
            vocab_size=vocab_size, context_length=context_length, activation=activation,
            norm_eps=norm_eps, end_token=self.end_token, tokenizer=tokenizer)
        self.embed_dim = embed_dim
        self.context_length = context_length
        self.clip = CLIPTextModelWithProjection(
            CLIPTextConfig(
                hidden_size=width,
                intermediate_size=mlp_width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                projection_dim=embed_dim,
                vocab_size=vocab_size,
                max_position_embeddings=context_length,
                hidden_act=activation,
                layer_norm_eps=norm_eps,
                bos_token_id=None,  # not read; transformers warns where it is not in vocab_size
                # 2 is transformers' sign for the highest id.
                eos_token_id=2 if self.end_token is None else self.end_token))
        for block in self.clip.text_model.encoder.layers[:frozen_layers]:
            block.requires_grad_(False)
        if freeze_embeddings:
            self.clip.text_model.embeddings.requires_grad_(False)
        if frozen:
            self.requires_grad_(False)
        if lora is not None:
            add_lora(self, **lora)
            # For mmengine's init_weights: transformers' would draw B too, which begins as 0.
            vars(self.clip)['is_init'] = True

    def forward(self, tokens: Tensor, padded: bool = True) -> Tensor:
        """Encode texts.

        Args:
            tokens: (N, L) token ids; what stands behind the end token changes nothing.
            padded: cut the padding that all texts have. Finding it waits for the device: False,
                where the caller has cut it. The embeddings are the same either way.

        Returns:
            (N, E), not l2-normalised.

        Raises:
            ValueError: the texts are longer than the position table, or one has no end token.
        """
        if tokens.shape[-1] > self.context_length:
            raise ValueError(
                f'texts of {tokens.shape[-1]} tokens do not fit neck.context_length='
                f'{self.context_length}: set context_length of TokenizeText to the same value')
        if padded:
            tokens = tokens[:, :longest_text(tokens)]
        if self.end_token is not None and not (tokens == self.end_token).any(dim=-1).all():
            raise ValueError(
                f'a text has no end token (neck.end_token={self.end_token}): this model reads the '
                f'tokens of {self.tokenizer!r}, not those that TokenizeText makes')
        hidden = self.clip.text_model(input_ids=tokens).last_hidden_state
        return self.clip.text_projection(self.at_end(hidden, tokens))

    def at_end(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """What stands at the end tokens: (N, L, D) and token ids (N, L) -> (N, D)."""
        at = tokens if self.end_token is None else (tokens == self.end_token).int()
        return hidden[torch.arange(tokens.shape[0], device=tokens.device), at.argmax(dim=-1)]


def longest_text(tokens: Tensor) -> int:
    """Columns of (..., L) token ids that are read: all but those that are 0 in every text.

    Behind the end token a text is padded with 0. Causal attention: it changes no embedding.
    """
    columns = torch.arange(1, tokens.shape[-1] + 1, device=tokens.device)
    return max(1, int(((tokens != 0) * columns).max()))
