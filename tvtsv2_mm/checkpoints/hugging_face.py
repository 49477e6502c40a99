"""Folders of models that the library transformers runs itself: config, pixels, names of weights.

:class:`tvtsv2_mm.models.HuggingFaceBackbone` keeps the side of such a model that sees under
``backbone.hf``, :class:`tvtsv2_mm.models.HuggingFaceTextEncoder` the one that reads under
``neck.hf``; both by the library's own names.

Of a folder numbers and words are read, and a class of the library is built only for a type of
model in ``MODEL_TYPES``: nothing that a file names is imported, fetched or run.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isqrt
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PretrainedConfig
from transformers.models.auto import CONFIG_MAPPING

from tvtsv2_mm.utils.errors import one_error

from .entries import check_values, describe, unwrap
from .errors import CheckpointError
from .layouts import HEADS, LIBRARY_PLACES, Layout

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
_REFUSED = ('auto_map', 'quantization_config')
# What the library counts to while it builds a model.
_COUNTED = re.compile('layers|depth|repeats|coefficient|stages')
_MOST_LAYERS, _LARGEST_NUMBER = 500, 1e7
_LARGEST_FILE = 10 * 2**20
# Processors that do not say so: all others crop where nothing is said.
_NEVER_CROP = ('Blip', 'EfficientNet', 'LlavaOnevision', 'Siglip')
_INTERPOLATIONS = {0: 'nearest', 2: 'bilinear', 3: 'bicubic'}  # numbers of PIL
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
    if not (folder / 'config.json').is_file():
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
    values = _read_json(file)
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
    digest = sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return config, f'{kind}_{digest[:12]}'


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
    text, file = config.text_config, folder / 'tokenizer_config.json'
    # RoBERTa's positions begin behind that of padding.
    skipped = text.pad_token_id + 1 if config.model_type == 'altclip' else 0
    told = _read_json(file).get('model_max_length') if file.is_file() else None
    positions = text.max_position_embeddings - skipped
    return min(positions, int(told)) if isinstance(told, int | float) and told > 0 else positions


def read_pixels(folder: Path, config: PretrainedConfig) -> FramePixels:
    """Read what the processor in a model's folder makes of pictures.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it is damaged, leaves its numbers to the library, or does what frames are
            not done here.
    """
    files = [folder / name for name in ('preprocessor_config.json', 'processor_config.json',
                                        'video_preprocessor_config.json')]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f'there is no preprocessor_config.json in {folder}, which says how frames are scaled '
            'and normalised: copy it from where the weights are published')
    values = _read_json(file)
    for name in ('image_processor', 'video_processor'):
        if isinstance(values.get(name), dict):
            values = values[name]
            break
    if config.model_type == 'videoprism':
        values['do_normalize'] = False  # as its processor does, whatever the file says
    with one_error(f'{file} is not known here', CheckpointError):
        mean, std = _normalisation(values)
        interpolation = _INTERPOLATIONS.get(_told(values, 'resample'))
        if interpolation is None:
            raise CheckpointError(f'resample={values["resample"]!r} is not implemented; known are '
                                  f'{_INTERPOLATIONS}')
        if config.model_type == 'siglip2':  # pictures of any shape; of squares, the largest
            side = crop = _told(values, 'patch_size') * isqrt(_told(values, 'max_num_patches'))
            keep_ratio = True
        else:
            side, crop, keep_ratio = _sizes(values)
        if not all(type(value) is int and 0 < value < 10_000 for value in (side, crop)):
            raise CheckpointError(f'frames of {side!r} and {crop!r} pixels are none')
    return FramePixels(image_size=crop, short_side=side, interpolation=interpolation,
                       keep_ratio=keep_ratio, mean=mean, std=std)


def _told(values: Mapping[str, Any], name: str) -> Any:
    if values.get(name) is None:
        raise CheckpointError(f'it leaves {name} to the library: write its value')
    return values[name]


def _normalisation(values: Mapping[str, Any]) -> tuple[tuple, tuple]:
    """Mean and std for pixel values 0..255 of what a processor does to them, step by step."""
    mean, std = [0.0] * 3, [1.0] * 3  # pixels are (x - mean) / std so far
    if values.get('do_rescale', True):
        std = [1 / values.get('rescale_factor', 1 / 255)] * 3
        if values.get('rescale_offset'):
            mean = list(std)
    steps = []
    if values.get('do_normalize', True):
        steps.append((_told(values, 'image_mean'), _told(values, 'image_std')))
    efficient = str(values.get('image_processor_type')).startswith('EfficientNet')
    if efficient and _told(values, 'include_top'):
        steps.append(([0, 0, 0], _told(values, 'image_std')))
    for own_mean, own_std in steps:
        mean = [m + own * s for m, own, s in zip(mean, own_mean, std, strict=True)]
        std = [s * own for s, own in zip(std, own_std, strict=True)]
    if not all(0 < s < 1e6 for s in std):
        raise CheckpointError(f'image_std={values.get("image_std")!r} is none')
    return tuple(round(m, 8) for m in mean), tuple(round(s, 8) for s in std)


def _sizes(values: Mapping[str, Any]) -> tuple[int, int, bool]:
    """Pixels of the short side after scaling and after the crop; whether the shape is kept."""
    if not values.get('do_resize', True):
        raise CheckpointError('do_resize=False: all frames must get one size')
    kind = values.get('image_processor_type') or values.get('video_processor_type') or ''
    crops = (False if 'do_center_crop' not in values and kind.startswith(_NEVER_CROP) else
             _told(values, 'do_center_crop'))
    size, crop = _told(values, 'size'), _told(values, 'crop_size') if crops else None
    keep_ratio = isinstance(size, int) or 'shortest_edge' in size
    side = size['shortest_edge'] if isinstance(size, dict) and keep_ratio else _square(size)
    if crop is None:
        if keep_ratio:
            raise CheckpointError(f'size={size} without a crop: all frames must get one size')
        return side, side, keep_ratio
    if _square(crop) != side and (not keep_ratio or _square(crop) > side):
        raise CheckpointError(f'crop_size={crop} of size={size} is not implemented')
    return side, _square(crop), keep_ratio


def _square(size: Any) -> int:
    if not isinstance(size, dict):
        return size
    if size['height'] != size['width']:
        raise CheckpointError(f'{size} is no square')
    return size['height']


def _read_json(file: Path) -> dict[str, Any]:
    with one_error(f'{file} cannot be read', CheckpointError):
        if file.stat().st_size > _LARGEST_FILE:
            raise CheckpointError(f'it has more than {_LARGEST_FILE} bytes')
        content = json.loads(file.read_text('utf-8'))
        if not isinstance(content, dict):
            raise CheckpointError('it holds no names and values')
    return content


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
