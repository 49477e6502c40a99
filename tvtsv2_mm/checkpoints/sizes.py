"""Read the sizes of a model from its weights, and write them as the config that fits."""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tvtsv2_mm.utils.tokenizer import VOCAB_SIZE

from .description import CLIP_MEAN, CLIP_STD, Description
from .errors import CheckpointError
from .layouts import TEXT

HEAD_WIDTH = 64
NORM_EPS = (1e-5, "CLIP's and torch's")
# The published CLIPs whose heads are wider: ViT-H-14, ViT-g-14, ViT-bigG-14.
WIDE_HEADS = {1280: 80, 1408: 88, 1664: 104}
# OpenAI published none as wide as these; narrower ones exist of both.
OPENCLIP_WIDTH = min(WIDE_HEADS)


def model_config(weights: Mapping[str, Tensor], known: Description | None = None) -> tuple[
        dict, list[str]]:
    """Derive the config of the model that has such weights.

    Args:
        weights: by our names.
        known: what is known beside the tensors.

    Returns:
        The config, and for each value in it that was neither read from the tensors nor known, a
        line that says what it rests on.

    Raises:
        CheckpointError: a tensor from which a size is read is missing or has another form, or its
            size is not the known one.
    """
    known = known or Description()
    assumed: list[str] = []
    backbone = _backbone(weights, known, assumed)
    config = dict(type='VideoTextModel', backbone=backbone)
    if any(key.startswith('neck.') for key in weights):
        config['neck'] = _neck(weights, known, backbone['activation'], assumed)
    if any(key.startswith('sorting_head.') for key in weights):
        embed_dim = _shape(weights, 'sorting_head.type_embed', 3)[2]
        sizes = dict(
            embed_dim=embed_dim, num_transcripts=_shape(weights, 'sorting_head.head.weight', 2)[0],
            depth=_count(weights, r'sorting_head\.blocks\.(\d+)\.'))
        config['sorting_head'] = dict(type='TranscriptSortingHead', **_complete(
            'sorting_head', sizes, known, assumed,
            heads=_heads('sorting_head', embed_dim, known, {})))
    if 'cls_head.fc.weight' in weights:
        classes, embed_dim = _shape(weights, 'cls_head.fc.weight', 2)
        config['cls_head'] = dict(
            type='LinearProbeHead', num_classes=classes, embed_dim=embed_dim)
    if known.data_preprocessor or backbone['type'] == 'FramewiseViT':
        config['data_preprocessor'] = dict(type='VideoTextDataPreprocessor', **_complete(
            'data_preprocessor', {}, known, assumed, mean=(CLIP_MEAN, "CLIP's"),
            std=(CLIP_STD, "CLIP's")))
    return config, assumed


def _backbone(weights: Mapping[str, Tensor], known: Description, assumed: list[str]) -> dict:
    width, channels, patch, _ = _shape(weights, 'backbone.conv1.weight', 4)
    if channels != 3:
        raise CheckpointError(f'backbone.conv1.weight reads {channels} channels, not 3')
    positions = _shape(weights, 'backbone.positional_embedding', 2)[0] - 1
    grid = math.isqrt(positions)
    if not positions or grid * grid != positions:
        raise CheckpointError(f'backbone.positional_embedding is for {positions} patches, which '
                              'are no square grid')
    sizes = dict(
        image_size=grid * patch, patch_size=patch, width=width,
        layers=_count(weights, r'backbone\.resblocks\.(\d+)\.'),
        mlp_width=_shape(weights, 'backbone.resblocks.0.mlp.c_fc.weight', 2)[0],
        embed_dim=_shape(weights, 'backbone.proj', 2)[1])
    backbone = _complete(
        'backbone', sizes, known, assumed, heads=_heads('backbone', width, known, WIDE_HEADS),
        activation=('gelu', "that of OpenCLIP's models of this width")
        if width >= OPENCLIP_WIDTH else
        ('quick_gelu', "that of OpenAI's CLIP and the release's ViT-B; most of OpenCLIP's have "
                       "'gelu'"),
        norm_eps=NORM_EPS)
    if 'backbone.temporal_embedding' not in weights:
        return dict(type='FramewiseViT', **backbone)
    sizes = dict(num_frames=_shape(weights, 'backbone.temporal_embedding', 2)[0])
    return dict(type='SpaceTimeViT', **backbone, **_complete(
        'backbone', sizes, known, assumed, token_output=(
            'all_normed' if backbone['activation'] == 'quick_gelu' else 'patches_raw',
            'goes with the activation')))


def _neck(weights: Mapping[str, Tensor], known: Description, activation: str,
          assumed: list[str]) -> dict:
    vocab_size, width = _shape(weights, f'{TEXT}.embeddings.token_embedding.weight', 2)
    layers = _count(weights, re.escape(f'{TEXT}.encoder.layers.') + r'(\d+)\.')
    sizes = dict(
        width=width, layers=layers,
        mlp_width=_shape(weights, f'{TEXT}.encoder.layers.0.mlp.fc1.weight', 2)[0],
        embed_dim=_shape(weights, 'neck.clip.text_projection.weight', 2)[0], vocab_size=vocab_size,
        context_length=_shape(weights, f'{TEXT}.embeddings.position_embedding.weight', 2)[0])
    if vocab_size > VOCAB_SIZE and 'tokenizer' not in known.neck:
        raise CheckpointError(
            f"the text encoder has {vocab_size} tokens, CLIP's tokenizer {VOCAB_SIZE}: it reads "
            'the tokens of another one. Say whose: neck.tokenizer=NAME, and its neck.end_token')
    neck = _complete(
        'neck', sizes, known, assumed, heads=_heads('neck', width, known, {}),
        activation=(activation, "the video encoder's"), norm_eps=NORM_EPS,
        end_token=(None, 'the embedding is read at the highest id, as in CLIP'),
        tokenizer=('clip', "CLIP's own"))
    return dict(type='PartiallyFrozenTextEncoder', **neck, frozen_layers=layers * 3 // 4)


def _complete(part: str, sizes: Mapping[str, int], known: Description, assumed: list[str],
              **guesses: tuple[Any, str]) -> dict[str, Any]:
    """The sizes, and what is known or guessed beside them (value and reason)."""
    told = getattr(known, part)
    for name, value in sizes.items():
        if told.get(name, value) != value:
            raise CheckpointError(f'{part}.{name} is {value} by the tensors, but {told[name]} by '
                                  f"{known.source or 'what was given'}")
    for name, (value, reason) in guesses.items():
        if name not in told:
            assumed.append(f'{part}.{name}={value!r}: {reason}')
    return {**sizes, **{name: told.get(name, value) for name, (value, _) in guesses.items()
                        if (name, value) != ('heads', None)}}


def _heads(part: str, width: int, known: Description,
           wide: Mapping[int, int]) -> tuple[int | None, str]:
    given = getattr(known, part).get('heads')
    if given is not None:
        if width % given:
            raise CheckpointError(f'{part}.heads={given} does not divide the width {width} of the '
                                  'tensors')
        return given, 'known'
    head_width = wide.get(width, HEAD_WIDTH)
    if width % head_width:
        return None, (f'cannot be told from the tensors: their width {width} is no multiple of '
                      f'{HEAD_WIDTH}, the width of a head in CLIP. Give {part}.heads=NUMBER')
    return width // head_width, f'heads of width {head_width}, as in CLIP'


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    found = {match[1] for match in (re.match(pattern, key) for key in weights) if match}
    # A single name may say any number; a model of so many layers would be built.
    if found != {str(i) for i in range(len(found))}:
        raise CheckpointError(f'the sizes cannot be read: there are {len(found)} layers '
                              f'{pattern}, but not numbers 0 to {len(found) - 1}')
    return len(found)


def _shape(weights: Mapping[str, Tensor], key: str, dimensions: int) -> tuple[int, ...]:
    if key not in weights:
        raise CheckpointError(f'the sizes cannot be read: the checkpoint lacks {key}')
    shape = tuple(weights[key].shape)
    if len(shape) != dimensions or not all(shape):
        raise CheckpointError(f'the sizes cannot be read: {key} has the shape {shape}, not '
                              f'{dimensions} dimensions')
    return shape
