"""Floating point operations of the model, counted from its config.

A multiplication and an addition are 2 FLOP. Norms, activations and sums are left out: they cost
time, not FLOP worth counting. A backward pass through a product costs two products more.
"""

from collections.abc import Mapping
from typing import NamedTuple

# A segment of 3 to 5 s holds some ten spoken words; with start and end token.
TEXT_TOKENS = 16
TRANSCRIPTS = 4


class LinearLayer(NamedTuple):
    """A product (rows, inputs) x (inputs, outputs)."""

    rows: int
    inputs: int
    outputs: int
    # Of the first layer, the input is the video: it needs no gradient.
    input_gradient: bool = True

    @property
    def flop(self) -> int:
        """Of the forward pass."""
        return 2 * self.rows * self.inputs * self.outputs


class Cost(NamedTuple):
    """FLOP of the video encoder for one clip."""

    linear_forward: int
    linear_training: int
    attention_forward: int

    @property
    def forward(self) -> int:
        """Linear layers and attention."""
        return self.linear_forward + self.attention_forward

    @property
    def training(self) -> int:
        """Forward and backward pass; nothing that is computed twice."""
        return self.linear_training + 3 * self.attention_forward


def grid_patches(backbone: Mapping) -> int:
    """Patches of a frame."""
    return (backbone['image_size'] // backbone['patch_size'])**2


def kept_count(backbone: Mapping, mask: float) -> int:
    """Patches that a tube mask keeps, rounded as RandomTubeMask does."""
    return int(grid_patches(backbone) * (1 - mask))


def class_tokens(backbone: Mapping) -> int:
    """Of a clip: 1 or 0."""
    return int(backbone.get('class_token', True))


def linear_layers(backbone: Mapping, frames: int, kept: int, clips: int) -> list[LinearLayer]:
    """The encoder's linear layers in the order of the forward pass."""
    width, embed_dim = backbone['width'], backbone['embed_dim']
    hidden = backbone.get('mlp_width') or 4 * width
    patches = clips * frames * kept
    tokens = clips * class_tokens(backbone) + patches
    all_normed = backbone['token_output'] == 'all_normed'
    attention = [LinearLayer(tokens, width, 3 * width), LinearLayer(tokens, width, width)]
    mlp = [LinearLayer(tokens, width, hidden), LinearLayer(tokens, hidden, width)]
    block = [*attention, *attention, *mlp]  # over time, over space
    pooling, embedded = [], [tokens] if all_normed else [clips, patches]
    if _pools_by_attention(backbone):
        pooling = [LinearLayer(clips, width, width), LinearLayer(tokens, width, 2 * width),
                   LinearLayer(clips, width, width), LinearLayer(clips, width, hidden),
                   LinearLayer(clips, hidden, width)]
        embedded = [clips, tokens if all_normed else patches]
    outputs = [LinearLayer(rows, width, embed_dim) for rows in embedded if embed_dim is not None]
    return [
        LinearLayer(patches, 3 * backbone['patch_size']**2, width, input_gradient=False),
        *block * backbone['layers'], *pooling, *outputs]


def encoder_cost(backbone: Mapping, frames: int, kept: int) -> Cost:
    """Of one clip; attention is the scores and weighted sums of both kinds in all blocks."""
    layers = linear_layers(backbone, frames, kept, 1)
    extra = class_tokens(backbone)
    tokens = extra + frames * kept
    pairs = 2 * extra * tokens  # of the class query, in time and in space
    pairs += kept * frames * (extra + frames) + frames * kept * (extra + kept)
    pairs = backbone['layers'] * pairs + _pools_by_attention(backbone) * tokens
    return Cost(linear_forward=sum(layer.flop for layer in layers),
                linear_training=sum((2 + layer.input_gradient) * layer.flop for layer in layers),
                attention_forward=pairs * 4 * backbone['width'])


def _pools_by_attention(backbone: Mapping) -> bool:
    return backbone.get('pooling') == 'AttentionPooling'


def transformer_flop(width: int, layers: int, tokens: int) -> int:
    """Of the forward pass of a plain transformer with an MLP ratio of 4."""
    return layers * (24 * tokens * width**2 + 4 * tokens**2 * width)


def transcripts_flop(model: Mapping, frames: int, kept: int) -> int:
    """Forward pass of the text encoder and the sorting head for a clip with its transcripts."""
    neck, backbone = model['neck'], model['backbone']
    width = backbone['embed_dim'] or backbone['width']
    text = TRANSCRIPTS * transformer_flop(neck['width'], neck['layers'], TEXT_TOKENS)
    video_tokens = frames * kept
    if backbone['token_output'] == 'all_normed':
        video_tokens += class_tokens(backbone)
    tokens = video_tokens + TRANSCRIPTS
    # The last of two blocks: keys and values of all, the rest for the transcripts.
    last = (4 * tokens + 20 * TRANSCRIPTS) * width**2 + 4 * TRANSCRIPTS * tokens * width
    return text + transformer_flop(width, 1, tokens) + last
