"""Read the configs that lie beside the weights of Hugging Face's and open_clip's CLIPs."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from transformers import CLIPConfig, CLIPVisionConfig

from tvtsv2_mm.choices import ACTIVATIONS
from tvtsv2_mm.utils.tokenizer import END_TOKEN, build_clip_tokenizer

from .description import CLIP_MEAN, CLIP_STD, FIELDS, RECORD, Description
from .errors import CheckpointError
from .kinds import check_kind


def read_description(file: Path, *, with_folder: bool) -> Description | None:
    """Read what a file of weights or its folder says of the model; None where nothing does.

    Args:
        file: the weights.
        with_folder: whether ``config.json`` (Hugging Face) or ``open_clip_config.json`` beside it
            are of these weights.

    Raises:
        CheckpointError: the config is damaged, or says something that is not implemented here: no
            model would be built that gives other numbers than the original.
    """
    if file.is_file() and check_kind(file) == 'safetensors':
        with safe_open(file, 'pt') as opened:
            record = (opened.metadata() or {}).get(RECORD)
        if record is not None:
            return Description.from_record(_parse(record, str(file)), str(file))
    if not with_folder:
        return None
    readers = dict([('config.json', _read_hugging_face), ('open_clip_config.json', _read_open_clip)]
                   [::-1 if file.name.startswith('open_clip') else 1])
    for name, read in readers.items():
        config_file = file.parent / name
        if config_file.is_file():
            config = _Config(_parse_file(config_file), str(config_file))
            return read(config, file.parent)
    return None


def _parse(text: str, source: str) -> dict:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f'{source} is no config of a CLIP: {error!r}') from error
    if not isinstance(content, dict):
        raise CheckpointError(f'{source} is no config of a CLIP: it holds no names and values')
    return content


def _parse_file(file: Path) -> dict:
    try:
        return _parse(file.read_text('utf-8'), str(file))
    except UnicodeDecodeError as error:
        raise CheckpointError(f'{file} is no config of a CLIP: {error}') from error


class _Config:
    """Names and values of a config, refused by name where they are not implemented."""

    def __init__(self, values: dict, source: str, prefix: str = '') -> None:
        self.values, self.source, self.prefix = values, source, prefix

    def section(self, name: str) -> '_Config':
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise CheckpointError(
                f'{self.source} is no config of a CLIP: {self.prefix}{name} is missing')
        return _Config(value, self.source, f'{self.prefix}{name}.')

    def refuse(self, name: str, why: str = 'is not implemented') -> CheckpointError:
        return CheckpointError(
            f'{self.source}: {self.prefix}{name}={self.values.get(name)!r} {why}')

    def check(self, description: Description) -> Description:
        """The description, its types and ranges checked; sizes come from anywhere."""
        parts = {part: getattr(description, part) for part in FIELDS}
        return replace(Description.from_record(parts, self.source), notes=description.notes)


def _without_labels(values: dict) -> dict:
    """Without the classes of a classifier: the library makes a name for each of ``num_labels``."""
    return {name: _without_labels(value) if isinstance(value, dict) else value
            for name, value in values.items()
            if name not in ('num_labels', 'id2label', 'label2id')}


_HUGGING_FACE_KINDS = ('clip', 'metaclip_2', 'clipseg', 'clip_vision_model')


def _read_hugging_face(config: _Config, folder: Path) -> Description:
    values = config.values
    kind = values.get('model_type', 'clip' if 'vision_config' in values else None)
    if kind not in _HUGGING_FACE_KINDS:
        raise CheckpointError(f'{config.source} is no config of a CLIP that is known here: '
                              f'model_type={kind!r}; known are {", ".join(_HUGGING_FACE_KINDS)}')
    for name in ('auto_map', 'quantization_config'):
        if values.get(name):
            raise config.refuse(name)
    if kind == 'clip_vision_model' and 'CLIPVisionModel' in (values.get('architectures') or ()):
        raise config.refuse('architectures', 'has no projection into the space of texts: take a '
                            'CLIPVisionModelWithProjection')
    plain = _without_labels({name: value for name, value in values.items()
                             if name != 'model_type'})
    try:
        if kind == 'clip_vision_model':
            vision, text = CLIPVisionConfig.from_dict(plain), None
            embed_dim = vision.projection_dim
        else:
            parsed = CLIPConfig.from_dict(plain)
            vision, text = parsed.vision_config, parsed.text_config
            embed_dim = parsed.projection_dim
    except (StrictDataclassError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise CheckpointError(f'{config.source} is no config of a CLIP: {error}') from error
    where = _Config(vision.to_dict(), config.source,
                    '' if text is None else 'vision_config.')
    if vision.num_channels != 3:
        raise where.refuse('num_channels')
    backbone = _hugging_face_tower(where, embed_dim) | {
        name: _side(where, name) for name in ('image_size', 'patch_size')}
    notes = _dropout_notes(where, 'attention_dropout')
    neck = {}
    if text is not None:
        where = _Config(text.to_dict(), config.source, 'text_config.')
        notes += _dropout_notes(where, 'attention_dropout')
        end_token = text.eos_token_id
        if type(end_token) is not int:
            raise where.refuse('eos_token_id', 'is not one token, at which the embedding is read')
        if (end_token == 2 and kind != 'metaclip_2') or end_token == text.vocab_size - 1:
            end_token = None  # transformers' sign for the highest id, or the highest id itself
        neck = _hugging_face_tower(where, embed_dim) | dict(
            vocab_size=text.vocab_size, context_length=text.max_position_embeddings,
            end_token=end_token, **_tokenizer(folder, end_token))
    pixels, more_notes = _hugging_face_pixels(folder)
    return config.check(Description(
        backbone=backbone, neck=neck, data_preprocessor=pixels, notes=notes + more_notes))


def _hugging_face_tower(config: _Config, embed_dim: Any) -> dict[str, Any]:
    values = config.values
    if values['hidden_act'] not in ACTIVATIONS:
        raise config.refuse('hidden_act')
    return dict(
        width=values['hidden_size'], layers=values['num_hidden_layers'],
        heads=values['num_attention_heads'], mlp_width=values['intermediate_size'],
        embed_dim=embed_dim, activation=values['hidden_act'], norm_eps=values['layer_norm_eps'])


def _side(config: _Config, name: str, default: Any = None) -> Any:
    """A height and width that must be equal."""
    value = config.values.get(name, default)
    if isinstance(value, list | tuple):
        if len(value) != 2 or value[0] != value[1]:
            raise config.refuse(name, 'is no square')
        return value[0]
    return value


def _dropout_notes(config: _Config, name: str) -> tuple[str, ...]:
    value = config.values.get(name)
    return (f'{config.prefix}{name}={value!r}, which is for training alone, is not applied', ) * (
        bool(value))


CLIP_TOKENIZERS = ('CLIPTokenizer', 'CLIPTokenizerFast')


def _tokenizer(folder: Path, end_token: int | None) -> dict[str, str]:
    """The argument ``tokenizer``: 'clip', or the name of another; nothing where none is named."""
    config = folder / 'tokenizer_config.json'
    name = _parse_file(config).get('tokenizer_class') if config.is_file() else None
    vocabulary = None
    if (folder / 'tokenizer.json').is_file():
        model = _parse_file(folder / 'tokenizer.json').get('model')
        vocabulary = model.get('vocab') if isinstance(model, dict) else {}
    elif (folder / 'vocab.json').is_file():
        vocabulary = _parse_file(folder / 'vocab.json')
    if vocabulary is not None:
        if vocabulary == build_clip_tokenizer().get_vocab():
            return dict(tokenizer='clip')
        return _named(name if name not in CLIP_TOKENIZERS and name else 'another_vocabulary')
    if name in CLIP_TOKENIZERS:
        return dict(tokenizer='clip')
    if name is None and end_token not in (None, END_TOKEN):
        name = f'end_token_{end_token}'
    return {} if name is None else _named(name)


def _named(tokenizer: Any) -> dict[str, str]:
    """The argument ``tokenizer``, as a name that a checkpoint's own config may have."""
    return dict(tokenizer=re.sub('[^A-Za-z0-9_]+', '_', str(tokenizer))[:40])


def _hugging_face_pixels(folder: Path) -> tuple[dict[str, tuple], tuple[str, ...]]:
    for name in ('preprocessor_config.json', 'processor_config.json'):
        if (folder / name).is_file():
            config = _Config(_parse_file(folder / name), str(folder / name))
            break
    else:
        return {}, ()
    if isinstance(config.values.get('image_processor'), dict):
        config = config.section('image_processor')
    values = config.values
    factor = values.get('rescale_factor', 1 / 255) if values.get('do_rescale', True) else 1
    if not isinstance(factor, int | float) or not factor > 0:
        raise config.refuse('rescale_factor', 'is no factor of pixels')
    mean, std = (0, 0, 0), (1, 1, 1)
    if values.get('do_normalize', True):
        kind = values.get('image_processor_type') or values.get('feature_extractor_type') or 'CLIP'
        mean, std = values.get('image_mean'), values.get('image_std')
        if None in (mean, std) and not str(kind).startswith('CLIP'):
            raise config.refuse('image_mean' if mean is None else 'image_std',
                                f'is for {kind} to say, which is not read here: write its numbers')
    notes = []
    # 3 is PIL's number of bicubic.
    for key, expected in (('resample', 3), ('do_resize', True), ('do_center_crop', True)):
        if values.get(key, expected) != expected:
            notes.append(_pixel_note(config, key))
    size = values.get('size')
    if isinstance(size, dict) and 'height' in size:
        notes.append(_pixel_note(config, 'size'))
    return _scaled(config, mean, std, factor), tuple(notes)


def _pixel_note(config: _Config, name: str) -> str:
    return (f'{config.source}: {config.prefix}{name}={config.values[name]!r}: pictures are brought '
            'to size in another way than here (the short side, bicubically, and a crop)')


def _scaled(config: _Config, mean: Any, std: Any, factor: float) -> dict[str, tuple]:
    """Mean and std for pixel values 0..255; CLIP's for None."""
    mean = [value / 255 for value in CLIP_MEAN] if mean is None else mean
    std = [value / 255 for value in CLIP_STD] if std is None else std
    for values in (mean, std):
        if not (isinstance(values, list | tuple) and len(values) == 3
                and all(type(value) in (int, float) for value in values)):
            raise CheckpointError(f'{config.source}: mean and std of the pixels must be three '
                                  f'numbers each, not {values!r}')
    return dict(mean=tuple(round(value / factor, 8) for value in mean),
                std=tuple(round(value / factor, 8) for value in std))


# What open_clip's configs may say, by its default where only that is implemented.
_OPEN_CLIP_BLOCK = dict(
    ls_init_value=None, block_type=None, qk_norm=False, scaled_cosine_attn=False,
    scale_heads=False, scale_attn_inner=False, scale_attn=False, scale_fc=False,
    final_ln_after_pool=False)
_OPEN_CLIP_VISION = dict(
    _OPEN_CLIP_BLOCK, timm_model_name=None, attentional_pool=False, no_ln_pre=False,
    pos_embed_type='learnable', pool_type='tok')
_OPEN_CLIP_TEXT = dict(
    _OPEN_CLIP_BLOCK, hf_model_name=None, embed_cls=False, no_causal_mask=False,
    proj_bias=False, proj_type='linear', use_pad_mask=False)
_OPEN_CLIP_MODEL = dict(multimodal_cfg=None)
# Read, or without a meaning where those above have their defaults.
_OPEN_CLIP_READ = dict(
    vision=('layers', 'width', 'head_width', 'mlp_ratio', 'patch_size', 'image_size', 'act_kwargs',
            'norm_kwargs', 'patch_dropout', 'output_tokens', 'attn_pooler_queries',
            'attn_pooler_heads', 'timm_model_pretrained', 'timm_pool', 'timm_proj',
            'timm_proj_bias', 'timm_drop', 'timm_drop_path'),
    text=('context_length', 'vocab_size', 'hf_tokenizer_name', 'tokenizer_mode',
          'tokenizer_kwargs', 'width', 'heads', 'layers', 'mlp_ratio', 'pad_id', 'eos_id',
          'pool_type', 'act_kwargs', 'norm_kwargs', 'output_tokens', 'correct_cls_mask',
          'hf_model_pretrained', 'hf_proj_type', 'hf_pooler_type'),
    model=('embed_dim', 'vision_cfg', 'text_cfg', 'quick_gelu', 'custom_text', 'init_logit_scale',
           'init_logit_bias', 'nonscalar_logit_scale', 'cast_dtype', 'output_dict'))


def _read_open_clip(file: _Config, folder: Path) -> Description:
    config = file.section('model_cfg') if 'model_cfg' in file.values else file
    vision, text = config.section('vision_cfg'), config.section('text_cfg')
    for part, kind, defaults in ((config, 'model', _OPEN_CLIP_MODEL),
                                 (vision, 'vision', _OPEN_CLIP_VISION),
                                 (text, 'text', _OPEN_CLIP_TEXT)):
        for name, value in part.values.items():
            if name in defaults:
                if value != defaults[name]:
                    raise part.refuse(name)
            elif name not in _OPEN_CLIP_READ[kind]:
                raise part.refuse(name, 'is not known here')
    embed_dim, quick = config.values.get('embed_dim'), config.values.get('quick_gelu', False)
    if quick not in (True, False, None):
        raise config.refuse('quick_gelu', 'is neither true nor false')
    backbone = _open_clip_tower(vision, embed_dim, bool(quick), width=768) | dict(
        image_size=_side(vision, 'image_size', 224), patch_size=_side(vision, 'patch_size', 16))
    head_width = vision.values.get('head_width', 64)
    if type(head_width) is not int or head_width < 1 or backbone['width'] % head_width:
        raise vision.refuse('head_width', f"does not divide the width {backbone['width']}")
    backbone['heads'] = backbone['width'] // head_width
    vocab_size = text.values.get('vocab_size', 49408)
    pooling = text.values.get('pool_type', 'argmax')
    if pooling not in ('argmax', 'eos'):
        raise text.refuse('pool_type')
    end_token = text.values.get('eos_id', 2) if pooling == 'eos' else None
    if end_token is not None and end_token == vocab_size - 1:
        end_token = None
    tokenizer = {}
    for name in ('tokenizer_kwargs', 'tokenizer_mode', 'hf_tokenizer_name'):
        if text.values.get(name):
            tokenizer = _named(text.values[name])
    neck = _open_clip_tower(text, embed_dim, bool(quick), width=512) | dict(
        heads=text.values.get('heads', 8), vocab_size=vocab_size, end_token=end_token,
        context_length=text.values.get('context_length', 77), **(tokenizer or dict(
            tokenizer='clip')))
    pixels, notes = _open_clip_pixels(file)
    return file.check(Description(
        backbone=backbone, neck=neck, data_preprocessor=pixels,
        notes=_dropout_notes(vision, 'patch_dropout') + notes))


def _open_clip_tower(config: _Config, embed_dim: Any, quick: bool, width: int) -> dict[str, Any]:
    values = config.values
    width, ratio = values.get('width', width), values.get('mlp_ratio', 4.0)
    for name, value in (('width', width), ('layers', values.get('layers', 12))):
        if type(value) is not int or value < 1:
            raise config.refuse(name)
    if type(ratio) not in (int, float) or not 0 < ratio < 1000:
        raise config.refuse('mlp_ratio', 'is no factor of the width')
    eps = values.get('norm_kwargs') or {}
    if not isinstance(eps, dict) or set(eps) - {'eps'}:
        raise config.refuse('norm_kwargs')
    activation = values.get('act_kwargs')
    known = {None: 'gelu', 'none': 'gelu', 'tanh': 'gelu_pytorch_tanh'}
    if activation is not None and (quick or not isinstance(activation, dict)
                                   or set(activation) - {'approximate'}
                                   or activation.get('approximate') not in known):
        raise config.refuse('act_kwargs')
    return dict(
        width=width, layers=values.get('layers', 12), mlp_width=int(width * ratio),
        embed_dim=embed_dim, norm_eps=eps.get('eps', 1e-5),
        activation='quick_gelu' if quick else known[(activation or {}).get('approximate')])


def _open_clip_pixels(file: _Config) -> tuple[dict[str, tuple], tuple[str, ...]]:
    if not isinstance(file.values.get('preprocess_cfg'), dict):
        return {}, ()
    config = file.section('preprocess_cfg')
    values = config.values
    notes = tuple(_pixel_note(config, name) for name, expected in (
        ('interpolation', 'bicubic'), ('resize_mode', 'shortest')) if values.get(
            name, expected) not in (None, expected))
    return _scaled(config, values.get('mean'), values.get('std'), 1 / 255), notes

