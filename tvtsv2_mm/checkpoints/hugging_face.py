"""Folders of models that the library transformers runs itself: config, pixels, names of weights.

:class:`tvtsv2_mm.models.HuggingFaceBackbone` keeps the side of such a model that sees under
``backbone.hf``, :class:`tvtsv2_mm.models.HuggingFaceTextEncoder` the one that reads under
``neck.hf``; both by the library's own names.

Of a folder numbers and words are read, and a class of the library is built only for a type of
model in ``MODEL_TYPES``: nothing that a file names is imported, fetched or run.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, PretrainedConfig
from transformers.activations import ACT2FN
from transformers.models.auto import CONFIG_MAPPING

from tvtsv2_mm.utils.errors import one_error

from .entries import check_values, describe, unwrap
from .errors import CheckpointError
from .layouts import HEADS, LIBRARY_PLACES, Layout
from .processors import CODE, INTERPOLATIONS, read_json, read_processor, read_tokenizer_config

# What a config may call itself, for AutoModel: dual encoders with get_text_features, and
# get_image_features or get_video_features.
MODEL_TYPES = ('aimv2', 'align', 'altclip', 'blip', 'chinese_clip', 'clip', 'groupvit',
               'metaclip_2', 'siglip', 'siglip2', 'videoprism', 'xclip')
OWN = Layout(name='tvtsv2_mm', marker=LIBRARY_PLACES[0], rules=(), new=HEADS)
# Of the whole model: temperatures, which mean nothing to rankings.
SCALES = ('logit_scale', 'logit_bias', 'temperature')
# Names that the library changes between a file and a model, one way or the other by its version.
_RENAMED = ((r'\.layer\.', '.layers.'), (r'\.layers\.', '.layer.'),
            (r'LayerNorm\.gamma$', 'LayerNorm.weight'), (r'LayerNorm\.beta$', 'LayerNorm.bias'))

# What decides no number. Attention is the library's own choice: in a config it could be the name
# of code to be fetched.
_NOT_OF_THE_MODEL = re.compile(
    '_?(name_or_path|commit_hash|transformers_version|torch_dtype|dtype|architectures|num_labels|'
    'id2label|label2id|problem_type|processor_class|return_dict)|.*_implementation.*')
_REFUSED = (CODE, 'quantization_config')
# What the library counts to while it builds a model.
_COUNTED = re.compile('layers|depth|repeats|coefficient|stages')
_MOST_LAYERS, _LARGEST_NUMBER = 500, 1e7
_HEADS = ('use_head', 'vision_use_head')  # of AIMv2 and SigLIP, without which pooling has none
_SENTENCE_MODULES = ('CLIPModel', 'Transformer')


@dataclass(frozen=True, kw_only=True)
class FramePixels:
    """How frames are scaled, cut and normalised for a model, all of one square size."""

    image_size: int
    short_side: int
    interpolation: str
    keep_ratio: bool
    mean: tuple[float, float, float]  # of pixel values 0..255
    std: tuple[float, float, float]


def model_folder(folder: str | Path) -> Path:
    """The folder of the model itself, within one that sentence-transformers wrote.

    Raises:
        FileNotFoundError: there is no such folder, or no config.json in it.
        CheckpointError: sentence-transformers does more there than to run the model.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no folder {folder} of a model of transformers')
    file = folder / 'modules.json'
    if file.is_file():
        with one_error(f'{file} is no list of modules of sentence-transformers', CheckpointError):
            (_, kind, name), *others = [
                (module['idx'], module['type'].rpartition('.')[2], module['path'])
                for module in json.loads(file.read_text('utf-8'))]
            if kind not in _SENTENCE_MODULES or {other for _, other, _ in others} - {'Normalize'}:
                raise CheckpointError('its modules are '
                                      f'{", ".join([kind, *(other for _, other, _ in others)])}, '
                                      f'of which only {" or ".join(_SENTENCE_MODULES)}, and '
                                      'Normalize behind it, are known here')
            if name != Path(name).name or name == '..' or '\0' in name:
                raise CheckpointError(f'it names a folder elsewhere: {name[:200]!r}')
            folder = folder / name
    if not os.path.isfile(folder / 'config.json'):  # pathlib raises where a name is too long
        raise FileNotFoundError(f'there is no config.json in {folder}: give the folder of a model '
                                'of transformers, as it comes from the hub')
    return folder


def read_config(folder: Path) -> tuple[PretrainedConfig, str]:
    """Read the config of a model in its folder.

    Returns:
        The library's config, and a word that tells it from others: the type of the model and a
        hash of all that decides its numbers.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it is damaged, of a type that is not in ``MODEL_TYPES`` or that the
            installed transformers does not have, or asks for what no file decides here.
    """
    file = folder / 'config.json'
    values = read_json(file)
    kind = values.get('model_type')
    if kind not in MODEL_TYPES:
        raise CheckpointError(f'{file}: model_type={str(kind)[:80]!r} is not run here; known are '
                              f'{", ".join(MODEL_TYPES)}')
    with one_error(f'{file} is no config of the model {kind!r}', CheckpointError):
        plain = _of_the_model(values)
        if kind not in CONFIG_MAPPING:
            raise CheckpointError('the installed transformers does not have it; a newer one may')
        config = CONFIG_MAPPING[kind].from_dict(
            {key: value for key, value in plain.items() if key != 'model_type'})
        _check_parts(config)
    digest = sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return config, f'{kind}_{digest[:12]}'


def _check_parts(config: PretrainedConfig) -> None:
    """Refuse what the library would build, and could not run on videos or tell the reason of."""
    for part, values in (('', config.to_dict()), ('vision_config.', config.vision_config.to_dict()),
                         ('text_config.', config.text_config.to_dict())):
        for name, value in values.items():
            if name.endswith('hidden_act') and value not in ACT2FN:
                raise CheckpointError(f'{part}{name}={str(value)[:80]!r} is not implemented; '
                                      f'known are {", ".join(sorted(ACT2FN))}')
            if name in _HEADS and value is False:
                raise CheckpointError(f'{part}{name}=False leaves the embedding of videos out: '
                                      'take a model that has its head')
    width, text = width_of(config), getattr(config.text_config, 'projection_size', None)
    if config.model_type in ('siglip', 'siglip2') and text not in (None, width):
        raise CheckpointError(f'text_config.projection_size={text}, but videos have embeddings of '
                              f'{width} numbers: they cannot be compared')
    channels = getattr(config.vision_config, 'num_channels', 3)
    if channels != 3:
        raise CheckpointError(f'vision_config.num_channels={channels} is not implemented: frames '
                              'have 3, RGB')


def can_be_built(config: PretrainedConfig) -> bool:
    """Whether the library makes a model of a config; nothing is allocated."""
    try:
        with torch.device('meta'):
            AutoModel.from_config(config)
    except Exception:  # whatever the library finds in it
        return False
    return True


def _of_the_model(values: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that decides numbers; sizes that no model has are refused."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in _REFUSED and value:
            raise CheckpointError(f'{key} is not implemented')
        if _NOT_OF_THE_MODEL.fullmatch(key):
            continue
        most = _MOST_LAYERS if _COUNTED.search(key) else _LARGEST_NUMBER
        for number in value if isinstance(value, list) else [value]:
            if type(number) in (int, float) and not abs(number) <= most:
                raise CheckpointError(f'{key}={value} is no number that a model can have')
        found[key] = _of_the_model(value) if isinstance(value, dict) else value
    return found


def width_of(config: PretrainedConfig) -> int:
    """Width E of the space that a model's videos and texts share."""
    width = getattr(config, 'projection_dim', None)
    return config.vision_config.hidden_size if width is None else width


def frames_of(config: PretrainedConfig) -> int | None:
    """Frames of a clip that a model reads; None where it reads pictures."""
    return getattr(config.vision_config, 'num_frames', None)


def context_of(folder: Path, config: PretrainedConfig) -> int:
    """Tokens of the longest text that a model reads: of its positions and of its tokenizer.

    Raises:
        CheckpointError: the tokenizer's config is damaged.
    """
    text = config.text_config
    # RoBERTa's positions begin behind that of padding.
    skipped = text.pad_token_id + 1 if config.model_type == 'altclip' else 0
    told = read_tokenizer_config(folder).get('model_max_length')
    positions = text.max_position_embeddings - skipped
    return min(positions, int(told)) if isinstance(told, int | float) and told > 0 else positions


def read_pixels(folder: Path, config: PretrainedConfig) -> FramePixels:
    """Read what the processor in a model's folder makes of pictures.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it is damaged, leaves its numbers to the library, or does what frames are
            not done here.
    """
    processor = read_processor(folder, config.model_type)
    if processor is None:
        raise FileNotFoundError(
            f'there is no preprocessor_config.json in {folder}, which says how frames are scaled '
            'and normalised: copy it from where the weights are published')
    if config.model_type == 'videoprism':  # as its processor does, whatever the file says
        processor = replace(processor, values={**processor.values, 'do_normalize': False})
    with one_error(f'{processor.file} is not known here', CheckpointError):
        mean, std = processor.normalisation()
        resample = processor.told('resample')
        interpolation = INTERPOLATIONS.get(resample)
        if interpolation is None:
            raise CheckpointError(f'resample={resample!r} is not implemented; known are '
                                  f'{INTERPOLATIONS}')
        if config.model_type == 'siglip2':  # pictures of any shape; of squares, the largest
            side = crop = processor.told('patch_size') * isqrt(processor.told('max_num_patches'))
            keep_ratio = True
        else:
            side, crop, keep_ratio = processor.sizes()
        if not all(type(value) is int and 0 < value < 10_000 for value in (side, crop)):
            raise CheckpointError(f'frames of {side!r} and {crop!r} pixels are none')
    return FramePixels(image_size=crop, short_side=side, interpolation=interpolation,
                       keep_ratio=keep_ratio, mean=mean, std=std)


def is_library(own: Iterable[str]) -> bool:
    """Whether a model with such names has a part that transformers runs."""
    return any(key.startswith(LIBRARY_PLACES) for key in own)


def name_parts(given: Mapping[str, Tensor], own: Iterable[str]) -> tuple[
        dict[str, Tensor], Layout, list[str]]:
    """Name the weights of a checkpoint as a model with parts of the library does.

    Args:
        given: names and tensors: of such a model of ours, or of the library's model.
        own: names of the model.

    Returns:
        The weights by our names, their layout, and the names that were left, which this model
        needs not.

    Raises:
        CheckpointError: it is neither of them, or has values that are not finite.
    """
    own = set(own)
    weights = {unwrap(key)[0]: value for key, value in given.items() if isinstance(value, Tensor)}
    check_values(weights)
    if is_library(weights):
        return weights, OWN, []
    named: dict[str, Tensor] = {}
    left: list[str] = []
    sides = [side for side in LIBRARY_PLACES if any(key.startswith(side) for key in own)]
    reads, sees = (side in sides for side in reversed(LIBRARY_PLACES))
    for key, value in weights.items():
        place = next((place for side in sides for place in _possible(side + key) if place in own),
                     None)
        if place is not None:
            named[place] = value
        elif key in SCALES or key.endswith('position_ids') or not (
                reads if is_text(key) else sees):
            left.append(key)
        else:
            named[key] = value
    if not any(key in own for key in named):
        raise CheckpointError('its names are not those of the model that its config describes. It '
                              f'has: {describe(given)}')
    return named, Layout(name='Hugging Face', marker=LIBRARY_PLACES[0], rules=(), new=HEADS), left


def _possible(place: str) -> list[str]:
    names = [place]
    for old, new in _RENAMED:
        names += [re.sub(old, new, name) for name in names]
    return [*dict.fromkeys(names)]


def is_text(name: str) -> bool:
    """Whether a part of the library's model, by its name or that of a weight of it, reads texts."""
    return name.startswith('text_')
