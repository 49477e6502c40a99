"""Which model a checkpoint holds, so that a checkpoint file alone is enough.

A checkpoint may come from anywhere, and a config says which code runs. So of the config in it only
the known parts of a model, and the transforms that make its clips, are taken; and of these only
numbers and words.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from torch import Tensor

from tvtsv2_mm.choices import POOLINGS, ROTARY_POSITIONS
from tvtsv2_mm.registry import MODELS, TRANSFORMS
from tvtsv2_mm.utils.errors import one_error

from . import sizes
from .convert import convert_names, detect_layout
from .description import check_refused, description_of, metadata_of
from .errors import CheckpointError, naming
from .layouts import RELEASE, Layout
from .lora import merge_lora

# Published sizes by the width and the side of a patch; heads cannot be read from tensors.
PUBLISHED = {
    (768, 16): 'vit-b16',
    (768, 32): 'vit-b32',
    (1024, 14): 'vit-l14',
    (1280, 14): 'vit-h14',
}
# All that is built by a name in a checkpoint: the parts of a model, and the transforms of an
# evaluation pipeline that make a clip out of a video.
CLIP_TRANSFORMS = ('OpenVideo', 'SampleClipFrames', 'DecodeClip', 'CropClip')
MODEL_PARTS = {
    'backbone': ('SpaceTimeViT', 'FramewiseViT', 'InternVideoViT'),
    'neck': ('PartiallyFrozenTextEncoder', 'PartiallyFrozenSiglipTextEncoder'),
    'contrastive_head': ('VideoTextContrastiveHead', 'VideoTextSigmoidHead'),
    'sorting_head': ('TranscriptSortingHead', ),
    'data_preprocessor': ('VideoTextDataPreprocessor', ),
}
# Arguments that name what is built.
_NAMES = {'model.backbone.pooling': POOLINGS,
          'model.backbone.rotary': (None, *ROTARY_POSITIONS)}
RECOGNIZER = 'Recognizer3D'  # of MMAction2, with our backbone
# A config of ours has some 10 kB.
_MOST_CHARACTERS = 1_000_000
_LARGEST_NUMBER = 1_000_000


def config_of_checkpoint(checkpoint: Mapping[str, Any], name: str) -> ConfigDict:
    """Find the config of a checkpoint, which errors call by ``name``.

    A checkpoint that this package trained carries its config; a TVTSv2 release
    (``TVTSv2_ViT_*.pth``) is told by the sizes of its tensors, any other by these and by what its
    file or folder says beside them. Of a recognizer of MMAction2 that was trained with our backbone
    the config is that of the backbone and of the pixels it saw.

    Returns:
        A config with ``model`` (without classes, and without what only training needs) and, of the
        data, the transforms of the test pipeline that make clips.

    Raises:
        ValueError: nothing tells its model, or a config with more than models of this package;
            the config has to be given.
        CheckpointError: the layout is unknown.
    """
    weights = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(weights, Mapping):
        raise CheckpointError(f'{name} holds no state dict (names and tensors)')
    text = written_config(checkpoint)
    if text is None:
        with naming(name):
            given = {str(key).removeprefix('module.'): value for key, value in weights.items()}
            layout = detect_layout(given)
            if layout is not RELEASE:
                return told_config(given, layout, metadata_of(weights), name)
            return published_config(given, name)
    with one_error(f'{name}: the config in the checkpoint is not taken, give the config'):
        written = literal_config(text)
        model = _known_model(written.get('model'))
        loader = written.get('test_dataloader') or written.get('val_dataloader') or {}
        pipeline = [_known_part(step, CLIP_TRANSFORMS, 'pipeline')
                    for step in loader.get('dataset', {}).get('pipeline', [])
                    if _type_of(step) in CLIP_TRANSFORMS]
        with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
            for step in pipeline:
                TRANSFORMS.build(step)
        _check_size(model, weights)
        _check_clips(pipeline, model['backbone'])
    return ConfigDict(model=model, test_dataloader=dict(dataset=dict(pipeline=pipeline)))


def told_config(given: Mapping[str, Tensor], layout: Layout, metadata: Mapping[str, Any],
                name: str) -> ConfigDict:
    """Find the config of weights whose file or folder says what their tensors do not.

    Raises:
        ValueError: something is told by neither.
        CheckpointError: a size cannot be read, or they are of no model of our own parts.
    """
    check_refused(metadata)
    model, assumed = sizes.model_config(
        convert_names(merge_lora(given), layout)[0],
        description_of(given, metadata, layout=layout.name))
    if assumed:
        raise ValueError(f'{name} has the layout {layout.name}, and nothing tells all of its model:'
                         ' give the config. Not told:\n  ' + '\n  '.join(assumed))
    return ConfigDict(model=model)


def published_config(given: Mapping[str, Tensor], name: str) -> ConfigDict:
    """Find the config of a TVTSv2 release by the sizes of its tensors.

    A release without ``pred_model.*`` gives a model without a sorting head.

    Raises:
        ValueError: a size that was never published.
        CheckpointError: what has the names of a release's weights is none.
    """
    tensors, _ = convert_names(given, RELEASE)
    with one_error(f'{name} holds no tensors of a TVTSv2 release', CheckpointError):
        width, _, patch, _ = tensors['backbone.conv1.weight'].shape
        num_frames = len(tensors['backbone.temporal_embedding'])
    size = PUBLISHED.get((width, patch))
    if size is None:
        known = ', '.join(f'{w} and {p}' for w, p in PUBLISHED)
        raise ValueError(f'{name}: width {width} with patches of {patch} pixels is no published '
                         f'size (those are {known}): give the config')
    from mmengine.infer import BaseInferencer  # heavy, and everything imports this
    folder = Path(BaseInferencer._get_repo_or_mim_dir('tvtsv2_mm'))
    cfg = Config.fromfile(folder / 'configs' / '_base_' / 'models' / f'tvtsv2_{size}.py')
    cfg.model.backbone.num_frames = num_frames
    if not any(key.startswith('sorting_head.') for key in tensors):
        cfg.model.sorting_head = None
    return cfg._cfg_dict


def literal_config(text: str) -> dict:
    """Read the text of a dumped config, which is assignments of literals, without running it.

    Raises:
        ValueError: there is something else in it.
        Exception: what ``ast`` raises at text that is no Python.

    Examples:
        >>> literal_config("a = dict(b=[1, -2.5], c={'x y': None})")
        {'a': {'b': [1, -2.5], 'c': {'x y': None}}}
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f'it has {len(text)} characters, more than {_MOST_CHARACTERS}')
    result = {}
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                result[name] = _literal(value)
            case _:
                raise ValueError(f'it is more than literals (line {statement.lineno})')
    return result


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id='dict')):
            merged: dict = {}
            for argument in node.args:
                merged.update(_literal(argument))
            for keyword in node.keywords:
                value = _literal(keyword.value)
                merged.update(value if keyword.arg is None else {keyword.arg: value})
            return merged
        case ast.List(elts=values):
            return [_literal(value) for value in values]
        case ast.Tuple(elts=values):
            return tuple(_literal(value) for value in values)
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_literal(key): _literal(value)
                    for key, value in zip(keys, values, strict=True) if key is not None}
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f'it is more than literals (line {node.lineno})') from None


def _known_model(written: Any) -> dict[str, Any]:
    if _type_of(written).removeprefix('mmaction.') == RECOGNIZER:
        return _encoder_of_recognizer(written)
    parts = {key: _known_part(written[key], types, f'model.{key}')
             for key, types in MODEL_PARTS.items() if written.get(key) is not None}
    return dict(_known_part({'type': written.get('type')}, ('VideoTextModel', ), 'model'), **parts)


def _encoder_of_recognizer(written: Mapping[str, Any]) -> dict[str, Any]:
    backbone = _known_part(written['backbone'], MODEL_PARTS['backbone'], 'model.backbone')
    pixels = written.get('data_preprocessor') or {}
    mean, std = pixels.get('mean'), pixels.get('std')
    if (_type_of(pixels).removeprefix('mmaction.') != 'ActionDataPreprocessor'
            or mean is None or std is None or pixels.get('to_rgb')):
        raise ValueError('model.data_preprocessor is no ActionDataPreprocessor with mean and std '
                         'that leaves RGB as it is')
    return dict(
        type='VideoTextModel',
        backbone={key: value for key, value in backbone.items() if key not in ('output', 'frozen')},
        data_preprocessor=_known_part(dict(
            type='VideoTextDataPreprocessor', mean=mean, std=std),
            MODEL_PARTS['data_preprocessor'], 'model.data_preprocessor'))


def _known_part(written: Mapping[str, Any], types: tuple[str, ...], place: str) -> dict[str, Any]:
    """A part whose type is on the list, with arguments that are numbers and words."""
    kind = _type_of(written)
    if kind not in types:
        raise ValueError(f'{place}.type is {kind!r}, not {" or ".join(types)}')
    # Initial weights come from the checkpoint, not from where training once took them; what it has
    # of adapters is merged into them.
    arguments = {key: value for key, value in written.items()
                 if key not in ('type', 'init_cfg', 'lora')}
    for key, value in arguments.items():
        if not (isinstance(key, str) and re.fullmatch('[a-z][a-z0-9_]*', key)
                and (_is_plain(value) or (isinstance(value, list | tuple) and len(value) < 10
                     and all(map(_is_plain, value))))):
            raise ValueError(f'{place}.{key} is {value!r:.80}, neither a word nor numbers')
        names = _NAMES.get(f'{place}.{key}')
        if names is not None and value not in names:
            raise ValueError(f'{place}.{key} is {value!r}, not one of {names}')
    return dict(arguments, type=kind)


def _type_of(part: Any) -> str:
    kind = part.get('type')
    return kind.removeprefix('tvtsv2_mm.') if isinstance(kind, str) else repr(kind)


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch('[A-Za-z0-9_]{1,40}', value) is not None
    return value is None or (isinstance(value, int | float) and abs(value) <= _LARGEST_NUMBER)


def _check_size(model: dict[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Before memory is taken for a model: it must be about as large as the weights in the file."""
    for place, part in model.items():
        for key in ('layers', 'depth'):
            if isinstance(part, dict) and not 0 <= part.get(key, 0) <= len(weights):
                raise ValueError(f'model.{place}.{key} is {part[key]}, but there are '
                                 f'{len(weights)} tensors')
    with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        described = sum(x.numel() for x in MODELS.build(model).state_dict().values())
    given = sum(x.numel() for x in weights.values() if isinstance(x, Tensor))
    if described > 2 * given:
        raise ValueError(f'its model has {described} numbers, but there are {given} in the file')


def _check_clips(pipeline: list[dict[str, Any]], backbone: dict[str, Any]) -> None:
    """Before memory is taken for clips: they must be about what the model takes."""
    given: dict[str, Any] = {}
    for step in pipeline:
        given |= step
    frames = (given.get('num_frames') or 1) * (given.get('num_clips') or 1)
    own_side = backbone.get('image_size') or 224
    side = max(given.get(key) or own_side for key in ('short_side', 'size'))
    if frames * side**2 > 1000 * (backbone.get('num_frames') or 12) * own_side**2:
        raise ValueError(f'its clips of {frames} frames of {side} pixels are not for its model')


def written_config(checkpoint: Mapping[str, Any]) -> str | None:
    """The text of the config that mmengine wrote into a checkpoint, or None."""
    hub, meta = (checkpoint.get(name) for name in ('message_hub', 'meta'))
    told = hub.get('runtime_info') if isinstance(hub, Mapping) else None
    texts = (part.get('cfg') for part in (told, meta) if isinstance(part, Mapping))
    return next((text for text in texts if isinstance(text, str)), None)
