"""Tables of the parameters and FLOP of all sizes, from their configs."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from tvtsv2_mm.models.cost import (
    class_tokens,
    encoder_cost,
    grid_patches,
    kept_count,
    transcripts_flop,
)
from tvtsv2_mm.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/models'
SIZES = dict(tiny='tvtsv2_tiny', b32='tvtsv2_vit-b32', b16='tvtsv2_vit-b16',
             l14='tvtsv2_vit-l14', h14='tvtsv2_vit-h14')
PARAMETERS = """\
| size | video, M parameters | of which new in time | text | sorting head |
|---|---|---|---|---|"""
FLOP = """\
| size | frames | mask | kept patches of a frame | tokens | GFLOP a clip, forward \
| of which linear layers | attention | training step | text and sorting, forward |
|---|---|---|---|---|---|---|---|---|---|"""


def millions(module: nn.Module, *parts: str) -> str:
    """Of all parameters, or of those whose names have one of these parts."""
    count = sum(parameter.numel() for name, parameter in module.named_parameters()
                if not parts or {*parts} & {*name.split('.')})
    return f'{count / 1e6:.1f}'


def giga(flop: int) -> str:
    """Two digits at least."""
    return f'{flop / 1e9:.1f}' if flop >= 1e10 else f'{flop / 1e9:.2g}'


def block(table: str) -> str:
    """'parameters' or 'flop', as Markdown."""
    lines = [PARAMETERS if table == 'parameters' else FLOP]
    for size, name in SIZES.items():
        config = Config.fromfile(CONFIGS / f'{name}.py').model
        if table == 'parameters':
            with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
                model = MODELS.build(config)
            new = millions(model.backbone, 'timeattn', 'ln_3', 'temporal_embedding')
            lines.append(f'| {size} | {millions(model.backbone)} | {new} '
                         f'| {millions(model.neck)} | {millions(model.sorting_head)} |')
            continue
        backbone = config.backbone
        frames = backbone.num_frames
        for mask in (0.0, 0.5, 0.7):
            kept = kept_count(backbone, mask)
            cost = encoder_cost(backbone, frames, kept)
            tokens = class_tokens(backbone) + frames * kept
            linear = cost.linear_forward / cost.forward
            lines.append(
                f'| {size} | {frames} | {mask:g} | {kept} of {grid_patches(backbone)} '
                f'| {tokens} | {giga(cost.forward)} | {linear:.1%} | {1 - linear:.1%} '
                f'| {giga(cost.training)} | {giga(transcripts_flop(config, frames, kept))} |')
    return '\n'.join(lines)
