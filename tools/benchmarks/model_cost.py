"""Parameters and floating point operations of the model, counted from its config.

A multiplication and an addition are 2 FLOP. Norms, activations and sums are left out: they cost
time, not FLOP worth counting. A backward pass through a product costs two products more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from tvtsv2_mm.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/models'
SIZES = dict(tiny='tvtsv2_tiny', b32='tvtsv2_vit-b32', b16='tvtsv2_vit-b16',
             l14='tvtsv2_vit-l14', h14='tvtsv2_vit-h14')
# A segment of 3 to 5 s holds some ten spoken words; with start and end token.
TEXT_TOKENS = 16
TRANSCRIPTS = 4
NEW_IN_TIME = ('timeattn', 'ln_3', 'temporal_embedding')


@dataclass(frozen=True)
class LinearLayer:
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

    @property
    def training_flop(self) -> int:
        """Of forward and backward pass."""
        return self.flop * (3 if self.input_gradient else 2)


@dataclass(frozen=True)
class Cost:
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


def model_config(size: str, **backbone: object) -> dict:
    """The config of a size, with options of its backbone changed."""
    config = Config.fromfile(CONFIGS / f'{SIZES[size]}.py').model.to_dict()
    config['backbone'].update(backbone)
    return config


def grid_patches(backbone: Mapping) -> int:
    """Patches of a frame."""
    return (backbone['image_size'] // backbone['patch_size'])**2


def kept_count(backbone: Mapping, mask: float) -> int:
    """Patches that a tube mask keeps, rounded as RandomTubeMask does."""
    return int(grid_patches(backbone) * (1 - mask))


def linear_layers(backbone: Mapping, frames: int, kept: int, clips: int) -> list[LinearLayer]:
    """The encoder's linear layers in the order of the forward pass."""
    width, embed_dim = backbone['width'], backbone['embed_dim']
    patches = clips * frames * kept
    tokens = clips + patches
    block = [
        LinearLayer(tokens, width, 3 * width), LinearLayer(tokens, width, width),  # time
        LinearLayer(tokens, width, 3 * width), LinearLayer(tokens, width, width),  # space
        LinearLayer(tokens, width, 4 * width), LinearLayer(tokens, 4 * width, width)]
    outputs = [tokens] if backbone['token_output'] == 'all_normed' else [clips, patches]
    return [
        LinearLayer(patches, 3 * backbone['patch_size']**2, width, input_gradient=False),
        *block * backbone['layers'], *(LinearLayer(rows, width, embed_dim) for rows in outputs)]


def attention_flop(backbone: Mapping, frames: int, kept: int) -> int:
    """Of one clip's forward pass: scores and weighted sums of both attentions of all blocks."""
    tokens = 1 + frames * kept
    pairs = 2 * tokens  # of the class query, in time and in space
    pairs += kept * frames * (1 + frames) + frames * kept * (1 + kept)
    return backbone['layers'] * pairs * 4 * backbone['width']


def encoder_cost(backbone: Mapping, frames: int, kept: int) -> Cost:
    """Of one clip."""
    layers = linear_layers(backbone, frames, kept, 1)
    return Cost(linear_forward=sum(layer.flop for layer in layers),
                linear_training=sum(layer.training_flop for layer in layers),
                attention_forward=attention_flop(backbone, frames, kept))


def transformer_flop(width: int, layers: int, tokens: int) -> int:
    """Of the forward pass of a plain transformer with an MLP ratio of 4."""
    return layers * (24 * tokens * width**2 + 4 * tokens**2 * width)


def transcripts_flop(model: Mapping, frames: int, kept: int) -> int:
    """Forward pass of the text encoder and the sorting head for a clip with its transcripts."""
    neck, width = model['neck'], model['backbone']['embed_dim']
    text = TRANSCRIPTS * transformer_flop(neck['width'], neck['layers'], TEXT_TOKENS)
    video_tokens = frames * kept + (model['backbone']['token_output'] == 'all_normed')
    tokens = video_tokens + TRANSCRIPTS
    # The last of two blocks: keys and values of all, the rest for the transcripts.
    last = (4 * tokens + 20 * TRANSCRIPTS) * width**2 + 4 * TRANSCRIPTS * tokens * width
    return text + transformer_flop(width, 1, tokens) + last


def count_parameters(module: nn.Module, *parts: str) -> int:
    """Of all, or of those whose names have one of these parts."""
    return sum(parameter.numel() for name, parameter in module.named_parameters()
               if not parts or any(part in name.split('.') for part in parts))


def _giga(flop: int) -> str:
    return f'{flop / 1e9:.1f}' if flop >= 1e10 else f'{flop / 1e9:.2g}'


def cost_tables() -> str:
    """Markdown tables of the parameters and FLOP of all sizes."""
    rows = ['| size | video, M parameters | of which new in time | text | sorting head |',
            '|---|---|---|---|---|']
    for size in SIZES:
        with torch.device('meta'):
            model = MODELS.build(model_config(size))
        counts = (count_parameters(model.backbone), count_parameters(model.backbone, *NEW_IN_TIME),
                  count_parameters(model.neck), count_parameters(model.sorting_head))
        rows.append(f'| {size} | ' + ' | '.join(f'{count / 1e6:.1f}' for count in counts) + ' |')
    rows += ['', '| size | frames | mask | kept patches of a frame | tokens '
             '| GFLOP a clip, forward | of which linear layers | attention | training step '
             '| text and sorting, forward |',
             '|---|---|---|---|---|---|---|---|---|---|']
    for size in SIZES:
        model = model_config(size)
        backbone = model['backbone']
        frames = backbone['num_frames']
        for mask in (0.0, 0.5, 0.7):
            kept = kept_count(backbone, mask)
            cost = encoder_cost(backbone, frames, kept)
            linear = cost.linear_forward / cost.forward
            rows.append(
                f'| {size} | {frames} | {mask:g} | {kept} of {grid_patches(backbone)} | '
                f'{1 + frames * kept} | {_giga(cost.forward)} | {linear:.1%} | {1 - linear:.1%} '
                f'| {_giga(cost.training)} | '
                f'{_giga(transcripts_flop(model, frames, kept))} |')
    return '\n'.join(rows)
