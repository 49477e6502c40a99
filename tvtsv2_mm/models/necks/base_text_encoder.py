"""What text encoders share: blocks from the input side frozen, tokens that fit, weights."""

from abc import abstractmethod
from typing import Any

from torch import Tensor

from tvtsv2_mm.models.lora import adapt
from tvtsv2_mm.models.pretrained_part import PretrainedPart
from tvtsv2_mm.utils.tokenizer import END_TOKEN, VOCAB_SIZE, same_tokenizer, split_name


class BaseTextEncoder(PretrainedPart):
    """A transformer over tokens of which only the deep blocks are tuned.

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
        tokenizer: whose tokens the texts are: 'clip', or the kind of another, such as
            'GemmaTokenizer', with or without the fingerprint of its vocabulary, which comes with
            weights that tell it; see :func:`~tvtsv2_mm.utils.tokenizer_files.name_of`. Tokens of
            another are refused.
        end_token: the token at which an encoder that has one reads the embedding.
        frozen: True takes all parameters out of training.
        lora: adapters that are trained in the place of all weights, in the blocks that are not
            frozen: ``dict(rank=8)``, see :func:`~tvtsv2_mm.models.lora.add_lora`.
        init_cfg: mmengine's initialisation config; 'Pretrained' as in PretrainedPart.

    Attributes:
        embeddings: the name of the module before the blocks.
        causal: whether a token attends to those before it alone.
    """

    part = 'neck'
    embeddings: str
    causal: bool

    def __init__(self,
                 *,
                 width: int,
                 layers: int,
                 heads: int,
                 embed_dim: int,
                 vocab_size: int,
                 context_length: int,
                 activation: str,
                 norm_eps: float,
                 tokenizer: str,
                 end_token: int | None = None,
                 mlp_width: int | None = None,
                 frozen_layers: int = 9,
                 freeze_embeddings: bool = False,
                 frozen: bool = False,
                 lora: dict | None = None,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        if width % heads:
            raise ValueError(f'width ({width}) must be a multiple of heads ({heads}): set '
                             'neck.heads to what the text encoder was trained with')
        if not 0 <= frozen_layers <= layers:
            raise ValueError(
                f'frozen_layers must lie in 0..{layers} (the number of layers), '
                f'not {frozen_layers}')
        if tokenizer == 'clip' and (
                vocab_size > VOCAB_SIZE or end_token not in (None, vocab_size - 1, END_TOKEN)):
            raise ValueError(
                f'neck.vocab_size={vocab_size} with neck.end_token={end_token} is not of the '
                f"tokenizer 'clip', by which texts become tokens here: it has {VOCAB_SIZE} tokens, "
                f'the last of which ends a text. Name that of its files, whose folder '
                f'tokenizer=FOLDER gives: the tokenizer_class in its tokenizer_config.json, or '
                f'neck.tokenizer=another_vocabulary where that is CLIPTokenizer')
        self.end_token = None if end_token == vocab_size - 1 else end_token
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        # Loaded weights must be of a model of these.
        self.built_with = dict(
            width=width, layers=layers, heads=heads, mlp_width=mlp_width or 4 * width,
            embed_dim=embed_dim, vocab_size=vocab_size, context_length=context_length,
            activation=activation, norm_eps=norm_eps, end_token=self.end_token,
            tokenizer=tokenizer)
        self.embed_dim = embed_dim
        self.context_length = context_length
        self._build(dict(
            hidden_size=width,
            intermediate_size=self.built_with['mlp_width'],
            num_hidden_layers=layers,
            num_attention_heads=heads,
            vocab_size=vocab_size,
            max_position_embeddings=context_length,
            hidden_act=activation,
            layer_norm_eps=norm_eps,
            bos_token_id=None,  # not read; transformers warns where it is not in vocab_size
            # 2 is transformers' sign for the highest id.
            eos_token_id=2 if self.end_token is None else self.end_token))
        blocks: Any = self.get_submodule(self.block_list)
        blocks[:frozen_layers].requires_grad_(False)
        if freeze_embeddings:
            self.get_submodule(self.embeddings).requires_grad_(False)
        if frozen:
            self.requires_grad_(False)
        adapt(self, lora)

    @abstractmethod
    def _build(self, config: Any) -> None:
        """Make the modules from the values that the configs of `transformers` have in common."""

    def forward(self, tokens: Tensor, padded: bool = True) -> Tensor:
        """Encode texts.

        Args:
            tokens: (N, L) token ids.
            padded: cut what is read of no text. Finding it waits for the device: False, where the
                caller has cut it. The embeddings are the same either way.

        Returns:
            (N, E), not l2-normalised.

        Raises:
            ValueError: the texts are longer than the position table, or not what this encoder
                was trained on.
        """
        if tokens.shape[-1] > self.context_length:
            raise ValueError(
                f'texts of {tokens.shape[-1]} tokens do not fit neck.context_length='
                f'{self.context_length}: set context_length of TokenizeText to the same value')
        return self.encode(tokens[:, :self.longest_text(tokens)] if padded else tokens)

    def take_tokenizer(self, told: str | None) -> None:
        """Know the vocabulary from weights or texts that tell it, where the config has the kind."""
        if told is not None and split_name(told)[1] and same_tokenizer(told, self.tokenizer):
            self.tokenizer = self.built_with['tokenizer'] = told

    @abstractmethod
    def longest_text(self, tokens: Tensor) -> int:
        """How many columns of token ids (N, L) are read."""

    @abstractmethod
    def encode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode texts as they are.

        Args:
            tokens: (N, L) token ids.
            mask: (N, 1, L, L), what is added to attention's logits, for an exported file; None for
                what the encoder does.

        Returns:
            (N, E), not l2-normalised.
        """
