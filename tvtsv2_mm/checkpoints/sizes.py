"""Read the sizes of a model from its weights, and write them as the config that fits."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from torch import Tensor

from .convert import CheckpointError
from .files import FOLDER_FILES
from .layouts import TEXT

HEAD_WIDTH = 64
# The published CLIPs whose heads are wider: ViT-H-14, ViT-g-14, ViT-bigG-14.
WIDE_HEADS = {1280: 80, 1408: 88, 1664: 104}
# OpenAI published none as wide as these; narrower ones exist of both.
OPENCLIP_WIDTH = min(WIDE_HEADS)
ACTIVATIONS = ('quick_gelu', 'gelu')


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What tensors do not tell; None where it is not known.

    Attributes:
        heads: attention heads of the video encoder.
        text_heads: attention heads of the text encoder.
        sorting_heads: attention heads of the sorting head.
        activation: 'quick_gelu' (OpenAI-type) or 'gelu' (OpenCLIP-type).
    """

    heads: int | None = None
    text_heads: int | None = None
    sorting_heads: int | None = None
    activation: str | None = None

    def __or__(self, other: 'Hints') -> 'Hints':
        """These hints, and the other's where it has them."""
        given = {field.name: getattr(other, field.name) for field in fields(other)}
        return replace(self, **{name: value for name, value in given.items() if value is not None})


def read_hints(path: str | Path) -> Hints:
    """Read what the ``config.json`` (Hugging Face) or ``open_clip_config.json`` says.

    Args:
        path: a folder from the hub, or the file of weights in it; of other files, and without a
            config, nothing is known.

    Raises:
        CheckpointError: the file is not such a config.
    """
    folder = Path(path).expanduser()
    if folder.name in FOLDER_FILES:
        folder = folder.parent
    for name, read in (('config.json', _hugging_face_hints),
                       ('open_clip_config.json', _open_clip_hints)):
        file = folder / name
        if not file.is_file():
            continue
        try:
            hints = read(json.loads(file.read_text('utf-8')))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f'{file} is no config of a CLIP: {error!r}') from error
        if hints.activation not in (None, *ACTIVATIONS):
            raise CheckpointError(f'{file} asks for the activation {hints.activation!r}; known '
                                  f'are {" and ".join(ACTIVATIONS)}')
        return hints
    return Hints()


def _hugging_face_hints(config: Mapping) -> Hints:
    # What is left out of a config has the default of transformers' classes.
    vision, text = config['vision_config'], config['text_config']
    return Hints(
        heads=vision.get('num_attention_heads', 12), text_heads=text.get('num_attention_heads', 8),
        activation=vision.get('hidden_act', 'quick_gelu'))


def _open_clip_hints(config: Mapping) -> Hints:
    config = config.get('model_cfg', config)
    vision = config['vision_cfg']
    return Hints(
        heads=vision['width'] // vision.get('head_width', HEAD_WIDTH),
        text_heads=config['text_cfg'].get('heads', 8),
        activation='quick_gelu' if config.get('quick_gelu') else 'gelu')


def model_config(weights: Mapping[str, Tensor], hints: Hints | None = None) -> tuple[
        dict, list[str]]:
    """Derive the config of the model that has such weights.

    Args:
        weights: by our names.
        hints: what the tensors do not tell.

    Returns:
        The config, and for each value in it that was neither read from the tensors nor given, a
        line that says what it rests on.

    Raises:
        CheckpointError: a tensor from which a size is read is missing or has another form.
    """
    hints = hints or Hints()
    assumed: list[str] = []
    width, channels, patch, _ = _shape(weights, 'backbone.conv1.weight', 4)
    if channels != 3:
        raise CheckpointError(f'backbone.conv1.weight reads {channels} channels, not 3')
    positions = _shape(weights, 'backbone.positional_embedding', 2)[0] - 1
    grid = math.isqrt(positions)
    if grid * grid != positions:
        raise CheckpointError(f'backbone.positional_embedding is for {positions} patches, which '
                              'are no square grid')
    activation = hints.activation
    if activation is None:
        activation = 'gelu' if width >= OPENCLIP_WIDTH else 'quick_gelu'
        assumed.append(f'activation={activation!r}: that of '
                       + ('OpenCLIP\'s models of this width' if activation == 'gelu' else
                          'OpenAI\'s CLIP and the release\'s ViT-B; most of OpenCLIP\'s have '
                          "'gelu'"))
    backbone = dict(
        type='FramewiseViT', image_size=grid * patch, patch_size=patch, width=width,
        layers=_count(weights, r'backbone\.resblocks\.(\d+)\.'),
        heads=_heads('backbone.heads', width, hints.heads, assumed),
        embed_dim=_shape(weights, 'backbone.proj', 2)[1], activation=activation)
    if 'backbone.temporal_embedding' in weights:
        backbone |= dict(
            type='SpaceTimeViT', num_frames=_shape(weights, 'backbone.temporal_embedding', 2)[0],
            token_output='all_normed' if activation == 'quick_gelu' else 'patches_raw')
        if hints.activation is None:
            assumed.append(f"backbone.token_output={backbone['token_output']!r}: goes with the "
                           'activation')
    config = dict(type='VideoTextModel', backbone=backbone)
    if any(key.startswith('neck.') for key in weights):
        config['neck'] = _neck(weights, hints, activation, assumed)
    if any(key.startswith('sorting_head.') for key in weights):
        embed_dim = _shape(weights, 'sorting_head.type_embed', 3)[2]
        config['sorting_head'] = dict(
            type='TranscriptSortingHead', embed_dim=embed_dim,
            num_transcripts=_shape(weights, 'sorting_head.head.weight', 2)[0],
            heads=_heads('sorting_head.heads', embed_dim, hints.sorting_heads, assumed, {}),
            depth=_count(weights, r'sorting_head\.blocks\.(\d+)\.'))
    if 'cls_head.fc.weight' in weights:
        classes, embed_dim = _shape(weights, 'cls_head.fc.weight', 2)
        config['cls_head'] = dict(
            type='LinearProbeHead', num_classes=classes, embed_dim=embed_dim)
    return config, assumed


def _neck(weights: Mapping[str, Tensor], hints: Hints, activation: str,
          assumed: list[str]) -> dict:
    vocab_size, width = _shape(weights, f'{TEXT}.embeddings.token_embedding.weight', 2)
    layers = _count(weights, re.escape(f'{TEXT}.encoder.layers.') + r'(\d+)\.')
    return dict(
        type='PartiallyFrozenTextEncoder', width=width, layers=layers,
        heads=_heads('neck.heads', width, hints.text_heads, assumed, {}),
        embed_dim=_shape(weights, 'neck.clip.text_projection.weight', 2)[0],
        frozen_layers=layers * 3 // 4, vocab_size=vocab_size,
        context_length=_shape(weights, f'{TEXT}.embeddings.position_embedding.weight', 2)[0],
        activation=activation)


def _heads(name: str, width: int, given: int | None, assumed: list[str],
           wide: Mapping[int, int] = WIDE_HEADS) -> int:
    if given is not None:
        if given < 1 or width % given:
            raise CheckpointError(f'{name}={given} does not divide the width {width} of the '
                                  'tensors')
        return given
    head_width = wide.get(width, HEAD_WIDTH)
    if width % head_width:
        raise CheckpointError(
            f'{name} cannot be told from the tensors: their width {width} is no multiple of '
            f'{HEAD_WIDTH}, the width of a head in CLIP. Give a config or the number of heads')
    assumed.append(f'{name}={width // head_width}: heads of width {head_width}, as in CLIP')
    return width // head_width


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    found = [int(match[1]) for match in (re.match(pattern, key) for key in weights) if match]
    return max(found, default=-1) + 1


def _shape(weights: Mapping[str, Tensor], key: str, dimensions: int) -> tuple[int, ...]:
    if key not in weights:
        raise CheckpointError(f'the sizes cannot be read: the checkpoint lacks {key}')
    shape = tuple(weights[key].shape)
    if len(shape) != dimensions:
        raise CheckpointError(f'the sizes cannot be read: {key} has the shape {shape}, not '
                              f'{dimensions} dimensions')
    return shape
