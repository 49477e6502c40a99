"""What decides a CLIP's numbers beside its tensors: heads, activations, eps, pooling, pixels."""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from tvtsv2_mm.choices import ACTIVATIONS, ATTENTIONS, AVERAGES, POOLINGS, ROTARY_POSITIONS
from tvtsv2_mm.utils.tokenizer import same_tokenizer

from .errors import CheckpointError
from .layouts import (
    ADAPTER_POSITIONS,
    IMAGEBIND,
    INTERNVIDEO,
    LAYOUTS,
    OPENAI,
    OPENCLIP_PE_CORE,
    OPENCLIP_SIGLIP,
    PE_CORE,
    RELEASE,
    SIGLIP,
    VICLIP,
)

# Of pixel values 0..255: ImageNet's, which the release takes, and those of OpenAI's CLIP.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
CLIP_MEAN = (122.7709383, 116.7460125, 104.09373615)
CLIP_STD = (68.5005327, 66.6321579, 70.3231629)
HALF = (127.5, ) * 3  # SigLIP and PE-core, both mean and std

_TOWER = dict(width=int, layers=int, heads=int, mlp_width=int, embed_dim=int, activation=str,
              norm_eps=float)
FIELDS: dict[str, dict[str, type]] = dict(
    backbone=_TOWER | dict(image_size=int, patch_size=int, token_output=str, average=str,
                           attention=str, frames_per_patch=int, decoders=int, library_config=str,
                           class_token=bool, pre_norm=bool, patch_bias=bool, pooling=str,
                           pooling_heads=int, rotary=str),
    neck=_TOWER | dict(vocab_size=int, context_length=int, end_token=int, tokenizer=str,
                       library_config=str),
    sorting_head=dict(heads=int),
    data_preprocessor=dict(mean=tuple, std=tuple))
_SIZES = ('width', 'layers', 'mlp_width', 'embed_dim', 'image_size', 'patch_size', 'vocab_size',
          'context_length', 'frames_per_patch', 'decoders', 'class_token', 'pre_norm', 'patch_bias',
          'pooling')
# What no tensor tells.
UNTOLD = {part: [name for name in names if name not in _SIZES] for part, names in FIELDS.items()}
# Which a model of pictures has no say in.
_OF_VIDEOS = ('attention', 'average')
_LARGEST = 1e9
# Under which a file's metadata hold a description.
RECORD = 'tvtsv2_mm'


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is known of a model, by part and argument of the model config; see ``FIELDS``."""

    backbone: Mapping[str, Any] = field(default_factory=dict)
    neck: Mapping[str, Any] = field(default_factory=dict)
    sorting_head: Mapping[str, Any] = field(default_factory=dict)
    data_preprocessor: Mapping[str, Any] = field(default_factory=dict)
    source: str = ''  # where it was read; '' where it was given
    notes: tuple[str, ...] = ()  # lines on what was read and is done differently here
    refused: str = ''  # why it is no model of our own towers

    def __or__(self, other: 'Description') -> 'Description':
        """This description, and the other's where it says something."""
        return Description(
            **{part: {**getattr(self, part), **getattr(other, part)} for part in FIELDS},
            source=other.source or self.source, notes=self.notes + other.notes,
            refused=other.refused or self.refused)

    @classmethod
    def from_record(cls, record: Any, source: str) -> 'Description':
        """Read what :meth:`record` or ``asdict`` gave.

        Raises:
            CheckpointError: there is something else in it.
        """
        named = isinstance(record, Mapping)
        parts: dict[str, Any] = dict(record) if named else {}
        source, notes = str(parts.pop('source', source)), parts.pop('notes', ())
        refused = str(parts.pop('refused', ''))
        if not named or not set(parts) <= set(FIELDS) or not isinstance(notes, list | tuple):
            raise CheckpointError(f'{source} describes no model: its parts are not among '
                                  f'{", ".join(FIELDS)}')
        for part, values in parts.items():
            if not isinstance(values, Mapping):
                raise CheckpointError(f'{source}: {part} must be arguments by name')
            for name, value in values.items():
                _check(f'{part}.{name}', value, FIELDS[part].get(name), source)
        return cls(**{part: dict(values) for part, values in parts.items()}, source=source,
                   notes=tuple(map(str, notes)), refused=refused)

    def record(self) -> dict[str, dict[str, Any]]:
        """What no tensor tells, in plain types, to be written into a file."""
        known = {part: {name: getattr(self, part)[name] for name in names
                        if name in getattr(self, part)} for part, names in UNTOLD.items()}
        return {part: values for part, values in known.items() if values}


def _check(name: str, value: Any, kind: type | None, source: str) -> None:
    if kind is None:
        known = ', '.join(f'{part}.{key}' for part, keys in FIELDS.items() for key in keys)
        raise CheckpointError(f'{source} describes {name}, which is unknown; known are {known}')
    end_token = name == 'neck.end_token'
    if value is None and (end_token or name == 'backbone.rotary'):
        return  # the highest id; no such positions
    if kind in (str, bool):
        fits = isinstance(value, kind)
    elif kind is tuple:
        fits = isinstance(value, list | tuple) and len(value) == 3 and all(
            type(x) in (int, float) and abs(x) < _LARGEST and (x > 0 or name.endswith('mean'))
            for x in value)
    else:
        fits = isinstance(value, (int, kind)) and not isinstance(value, bool) and (
            0 if end_token else 1e-12) <= value < _LARGEST
    if not fits:
        raise CheckpointError(f'{source}: {name}={value!r} is no {kind.__name__} that a model can '
                              'have')
    for end, words in (('.activation', ACTIVATIONS), ('.average', AVERAGES),
                       ('.attention', ATTENTIONS), ('.pooling', POOLINGS),
                       ('.rotary', ROTARY_POSITIONS)):
        if name.endswith(end) and value not in words:
            raise CheckpointError(f'{source}: {name}={value!r} is not implemented; known are '
                                  f'{", ".join(words)}')


def given_description(given: Mapping[str, Any]) -> Description:
    """What a user says of a model: ``{'backbone.heads': 16, 'neck.end_token': 2}``.

    Raises:
        CheckpointError: an unknown name, or a value that no model can have.
    """
    parts: dict[str, Any] = {}
    for key, value in given.items():
        part, _, name = key.partition('.')
        _check(key, value, FIELDS.get(part, {}).get(name), 'what was given')
        parts.setdefault(part, {})[name] = value
    return Description(**parts)


# What all of OpenAI's CLIPs and the release's models have.
_NORM = dict(norm_eps=1e-5)
_CLIP_NECK = dict(_NORM, end_token=None, tokenizer='clip')


def _released(heads: int, text_heads: int, activation: str, token_output: str) -> dict[str, Any]:
    return dict(
        backbone=dict(_NORM, heads=heads, activation=activation, token_output=token_output),
        neck=dict(_CLIP_NECK, heads=text_heads, activation=activation),
        sorting_head=dict(heads=text_heads),
        data_preprocessor=dict(mean=IMAGENET_MEAN, std=IMAGENET_STD))


# The sizes of which the authors published weights, by the width of the video encoder.
_RELEASED = {768: _released(12, 8, 'quick_gelu', 'all_normed'),
             1280: _released(16, 16, 'gelu', 'patches_raw')}


def _peer(heads: Mapping[int, tuple[int, ...]], mean: tuple = CLIP_MEAN, std: tuple = CLIP_STD,
          neck: Mapping[str, Any] = _CLIP_NECK, norm_eps: float = 1e-5,
          activation: str | None = 'quick_gelu', **backbone: Any) -> tuple:
    common: dict[str, Any] = dict(norm_eps=norm_eps)
    if activation is not None:
        common['activation'] = activation
    return heads, dict(
        backbone=dict(common, **backbone), neck={**neck, **common},
        data_preprocessor=dict(mean=mean, std=std))


_PE_CORE = _peer(
    {192: (3, 8), 384: (6, 8), 768: (12, 16), 1024: (16, 16), 1536: (16, 20)}, HALF, HALF,
    activation='gelu', pooling_heads=8, rotary='RotaryPositions2D')
# Of transformers' all have this activation, of timm's not: their config says.
_SIGLIP, _TIMM_SIGLIP = (_peer(
    {768: (12, 12, 12), 1024: (16, 16, 16), 1152: (16, 16, 16), 1536: (16, 16, 16)}, HALF, HALF,
    dict(end_token=None), 1e-6, activation) for activation in ('gelu_pytorch_tanh', None))
_BASE_AND_LARGE = {768: (12, 8), 1024: (16, 12)}
# By layout: the heads of both towers, and of the pooling where that has the same, of the published
# sizes by the width of the video encoder; and what all sizes have.
_PEERS = {
    INTERNVIDEO.name: _peer(_BASE_AND_LARGE),
    VICLIP.name: _peer(_BASE_AND_LARGE, IMAGENET_MEAN, IMAGENET_STD, attention='joint'),
    IMAGEBIND.name: _peer({1280: (16, 16)}, activation='gelu', norm_eps=1e-6),
    PE_CORE.name: _PE_CORE,
    OPENCLIP_PE_CORE.name: _PE_CORE,
    SIGLIP.name: _SIGLIP,
    OPENCLIP_SIGLIP.name: _TIMM_SIGLIP,
}
_PEER_WIDTHS = ('visual.class_embedding', 'vision_encoder.class_embedding', IMAGEBIND.marker,
                PE_CORE.marker, SIGLIP.marker, OPENCLIP_PE_CORE.marker)
_HEADS = (('backbone', 'heads'), ('neck', 'heads'), ('backbone', 'pooling_heads'))


def _of_peer(given: Mapping[str, Tensor], layout: str) -> dict[str, Any]:
    heads, parts = _PEERS[layout]
    width = next((given[key].numel() for key in _PEER_WIDTHS if key in given), None)
    parts = {part: dict(values) for part, values in parts.items()}
    for (part, name), number in zip(_HEADS, heads.get(width, ()), strict=False):
        parts[part][name] = number
    return parts


def description_of(given: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None,
                   layout: str = '') -> Description:
    """What is known of weights beside their tensors.

    Args:
        given: tensors by the names of their layout, as they were read.
        metadata: of the state dict's root; default: those that ``given`` has.
        layout: its name.

    Raises:
        CheckpointError: the metadata hold something else.
    """
    metadata = metadata_of(given) if metadata is None else metadata
    parts: dict[str, Any] = {}
    if layout == OPENAI.name and given.keys() >= {
            'input_resolution', 'visual.proj', 'text_projection'}:
        # Only OpenAI's own archives carry their sizes as tensors.
        parts = vars(openai_clip(given))
    elif layout == OPENAI.name and given.keys() & {*ADAPTER_POSITIONS}:
        parts = vars(openai_clip(given, average='embeddings'))
    elif layout == RELEASE.name and 'video_model.proj' in given:
        parts = _RELEASED.get(len(given['video_model.proj']), {})
    elif layout in _PEERS:
        parts = _of_peer(given, layout)
    # Positions that no tensor tells: those of others are told by the layout.
    rotary = dict(rotary=None) if any(layout == one.name for one in LAYOUTS[1:]) else {}
    return Description(backbone=rotary) | Description(
        **{part: parts[part] for part in FIELDS if part in parts},
        source=f'the layout {layout}') | Description.from_record(
        metadata.get(RECORD, {}), 'the checkpoint')


def openai_clip(given: Mapping[str, Tensor], **backbone: Any) -> Description:
    """What all of OpenAI's CLIPs are, of the sizes of these weights by OpenAI's names."""
    heads = {key: max(1, len(given[key]) // 64) for key in ('visual.proj', 'text_projection')
             if key in given}
    return Description(
        backbone=dict(_NORM, activation='quick_gelu', heads=heads['visual.proj'], **backbone),
        neck=dict(_CLIP_NECK, activation='quick_gelu', heads=heads['text_projection'])
        if 'text_projection' in heads else {},
        data_preprocessor=dict(mean=CLIP_MEAN, std=CLIP_STD))


def check_refused(metadata: Mapping[str, Any]) -> None:
    """Refuse weights that are known to be of no model of our own towers.

    Raises:
        CheckpointError: they are.
    """
    told = Description.from_record(metadata.get(RECORD, {}), 'the checkpoint')
    if told.refused:
        raise CheckpointError(told.refused)


def metadata_of(weights: Any) -> Mapping[str, Any]:
    """What is said of weights, where torch keeps the versions of modules."""
    return getattr(weights, '_metadata', {}).get('', {})


def with_metadata(weights: Mapping[str, Tensor],
                  metadata: Mapping[str, Any]) -> OrderedDict[str, Tensor]:
    """Weights, and with them what :func:`metadata_of` gives; the versions of modules stay."""
    ordered = OrderedDict(weights)
    versions = getattr(weights, '_metadata', None)
    vars(ordered)['_metadata'] = {
        **(versions if isinstance(versions, Mapping) else {}), '': dict(metadata)}
    return ordered


def describe(model: nn.Module) -> Description:
    """What the parts of a model were built with, as far as they are of this package."""
    parts: dict[str, Any] = {
        part: dict(getattr(getattr(model, part, None), 'built_with', {})) for part in FIELDS}
    return Description(**parts)


def check_model(told: Description, model: Description,
                report: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Check that a model is the one that its weights are of.

    Args:
        told: what is known of the weights.
        model: what the model was built with.
        report: of :func:`.convert.to_own_layout`.

    Returns:
        The model's arguments that decide the numbers and are not known of the weights, by name,
        and lines on what is done otherwise than in the original.

    Raises:
        CheckpointError: it is another model. All differences are listed.
    """
    own = {part: dict(getattr(model, part)) for part in FIELDS}
    lines = list(told.notes)
    new = report['new']
    if report.get('lost'):
        lines.append(
            f'lost: adapter.* ({len(report["lost"])} tensors), the transformer over the frames\' '
            'embeddings of CLIP4Clip or ActionCLIP, has no place here: frames and texts have the '
            "original's embeddings, and clips the mean of their frames', not the original's")
    if 'backbone.temporal_embedding' in new:
        # A CLIP that learns time is trained on, with the pixels of the config.
        own['backbone'].pop('token_output', None)
        pixels = dict(data_preprocessor=own.pop('data_preprocessor'))
        lines += [f'trained on with other pixels than before: {line}'
                  for line in _compare(told, pixels)[0]]
    for part in ('neck', 'sorting_head'):
        if any(key.startswith(f'{part}.') for key in new):
            own.pop(part)
    if any(line.startswith('backbone.positional_embedding') for line in report['resized']):
        own['backbone'].pop('image_size', None)
    different, unknown = _compare(told, own)
    if different:
        raise CheckpointError('the weights are not of the model that the config describes:\n  '
                              + '\n  '.join(different))
    return unknown, lines


def _compare(told: Description, model: Mapping[str, Mapping[str, Any]]) -> tuple[
        list[str], dict[str, Any]]:
    """Lines on what differs, and what of the model no tensor and nobody tells."""
    different, unknown = [], {}
    for part, arguments in model.items():
        known = getattr(told, part)
        for name, value in arguments.items():
            same = same_tokenizer if name == 'tokenizer' else _same
            if name in known and not same(known[name], value):
                different.append(f'{part}.{name}: {known[name]!r} by {told.source}, {value!r} by '
                                 'the model config')
            elif (name not in known and name in UNTOLD[part] and name not in _OF_VIDEOS
                  and (name, value) != ('rotary', None)):
                unknown[f'{part}.{name}'] = value
    return different, unknown


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple):  # levels of 255
        return all(abs(a - b) < 0.01 for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6)  # 9.999999747378752e-06 is a float32's 1e-5
    return one == other
