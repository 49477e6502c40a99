"""Read the configs that lie beside the weights of Hugging Face's and open_clip's CLIPs."""

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from transformers import CLIPConfig, CLIPVisionConfig, SiglipConfig

from tvtsv2_mm.choices import ACTIVATIONS
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.tokenizer import END_TOKEN, build_clip_tokenizer
from tvtsv2_mm.utils.tokenizer_files import VOCABULARY, added_tokens, are_clips, name_of

from .description import CLIP_MEAN, CLIP_STD, RECORD, Description
from .errors import CheckpointError, naming
from .kinds import check_kind
from .processors import CODE, read_processor, read_tokenizer_config


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
    readers = [('config.json', _read_hugging_face), ('open_clip_config.json', _read_open_clip)]
    for name, read in readers[::-1 if file.name.startswith('open_clip') else 1]:
        config_file = file.parent / name
        if config_file.is_file():
            try:
                return read(_Config.of(config_file), file.parent)
            except (UserFileError, FileNotFoundError):
                raise
            except Exception as error:  # whatever the values of somebody do to what reads them
                raise CheckpointError(
                    f'{config_file} is no config of a CLIP: {error!r:.200}') from error
    return None


def _parse(text: str, source: str) -> dict:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f'{source} is no config of a CLIP: {error!r}') from error
    if not isinstance(content, dict):
        raise CheckpointError(f'{source} is no config of a CLIP: it holds no names and values')
    return content


class _Config:
    """Names and values of a config, refused by name where they are not implemented."""

    def __init__(self, values: dict[str, Any], source: str, prefix: str = '') -> None:
        self.values, self.source, self.prefix = values, source, prefix
        self.get = values.get

    @classmethod
    def of(cls, file: Path) -> '_Config':
        try:
            return cls(_parse(file.read_text('utf-8'), str(file)), str(file))
        except UnicodeDecodeError as error:
            raise CheckpointError(f'{file} is no config of a CLIP: {error}') from error

    def section(self, name: str) -> '_Config':
        value = self.get(name)
        if not isinstance(value, dict):
            raise CheckpointError(
                f'{self.source} is no config of a CLIP: {self.prefix}{name} is missing')
        return _Config(value, self.source, f'{self.prefix}{name}.')

    def refuse(self, name: str, why: str = 'is not implemented') -> CheckpointError:
        return CheckpointError(f'{self.source}: {self.prefix}{name}={self.get(name)!r} {why}')

    def side(self, name: str, default: Any = None) -> Any:
        """A height and width that must be equal."""
        value = self.get(name, default)
        if not isinstance(value, list | tuple):
            return value
        if len(value) != 2 or value[0] != value[1]:
            raise self.refuse(name, 'is no square')
        return value[0]

    def read_pixels(self, patch_size: Any) -> tuple[Any, tuple[str, ...]]:
        """The side of what is read of a picture, and a line where that is not all of it."""
        side = self.side('image_size', 224)
        rest = side % patch_size if type(side) is type(patch_size) is int and patch_size > 0 else 0
        return side - rest if rest else side, (
            f'{self.prefix}image_size={side}: the original leaves the last {rest} rows and columns '
            f'of pixels out, which are no whole patches; here pictures have {side - rest} pixels',
        ) * bool(rest)

    def notes_on_dropout(self, name: str) -> tuple[str, ...]:
        value = self.get(name)
        return (f'{self.prefix}{name}={value!r}, which is for training alone, is not applied', ) * (
            bool(value))

    def notes_on_pixels(self, **expected: Any) -> tuple[str, ...]:
        return tuple(
            f'{self.source}: {self.prefix}{name}={self.values[name]!r}: pictures are brought to '
            'size in another way than here (the short side, bicubically, and a crop)'
            for name, value in expected.items() if self.get(name, value) != value)

    def pixels(self, mean: Any, std: Any, factor: float) -> dict[str, tuple]:
        """Mean and std for pixel values 0..255; CLIP's for None."""
        mean = [value / 255 for value in CLIP_MEAN] if mean is None else mean
        std = [value / 255 for value in CLIP_STD] if std is None else std
        for values in (mean, std):
            if not (isinstance(values, list | tuple) and len(values) == 3
                    and all(type(value) in (int, float) for value in values)):
                raise CheckpointError(f'{self.source}: mean and std of the pixels must be three '
                                      f'numbers each, not {values!r}')
        return dict(mean=tuple(round(value / factor, 8) for value in mean),
                    std=tuple(round(value / factor, 8) for value in std))

    def description(self, notes: tuple[str, ...], **parts: Any) -> Description:
        """The description, its types and ranges checked; sizes come from anywhere."""
        return replace(Description.from_record(parts, self.source), notes=notes)


def _without_labels(values: dict) -> dict:
    """Without the classes of a classifier: the library makes a name for each of ``num_labels``."""
    return {name: _without_labels(value) if isinstance(value, dict) else value
            for name, value in values.items()
            if name not in ('num_labels', 'id2label', 'label2id')}


_HUGGING_FACE_KINDS = dict(
    clip=CLIPConfig, metaclip_2=CLIPConfig, clipseg=CLIPConfig, clip_vision_model=CLIPVisionConfig,
    siglip=SiglipConfig)


def _read_hugging_face(config: _Config, folder: Path) -> Description:
    values = config.values
    kind = values.get('model_type', 'clip' if 'vision_config' in values else None)
    if not isinstance(kind, str) or kind not in _HUGGING_FACE_KINDS:
        raise CheckpointError(f'{config.source} is no config of a CLIP that is known here: '
                              f'model_type={kind!r}; known are {", ".join(_HUGGING_FACE_KINDS)}')
    for name in (CODE, 'quantization_config'):
        if values.get(name):
            raise config.refuse(name)
    if kind == 'clip_vision_model' and 'CLIPVisionModel' in (values.get('architectures') or ()):
        raise config.refuse('architectures', 'has no projection into the space of texts: take a '
                            'CLIPVisionModelWithProjection')
    plain = _without_labels({name: value for name, value in values.items()
                             if name != 'model_type'})
    try:
        parsed = _HUGGING_FACE_KINDS[kind].from_dict(plain).to_dict()
    except (StrictDataclassError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise CheckpointError(f'{config.source} is no config of a CLIP: {error}') from error
    config = _Config(parsed, config.source)
    vision = config if kind == 'clip_vision_model' else config.section('vision_config')
    if vision.values['num_channels'] != 3:
        raise vision.refuse('num_channels')
    siglip = kind == 'siglip'
    if siglip and vision.get('vision_use_head', True) is not True:  # transformers 4 adds none
        raise vision.refuse('vision_use_head', 'leaves the embedding out')
    embed_dim = vision.values['hidden_size'] if siglip else parsed['projection_dim']
    backbone = _hugging_face_tower(vision, embed_dim) | {
        name: vision.side(name) for name in ('image_size', 'patch_size')}
    notes = vision.notes_on_dropout('attention_dropout')
    if siglip:
        backbone['pooling_heads'] = backbone['heads']
        backbone['image_size'], more_notes = vision.read_pixels(backbone['patch_size'])
        notes += more_notes
    neck = {}
    if vision is not config:
        text = config.section('text_config')
        notes += text.notes_on_dropout('attention_dropout')
        vocab_size = text.values['vocab_size']
        # SigLIP's embedding is read at the last token, whatever it is.
        end_token = None if siglip else text.values['eos_token_id']
        if not siglip and type(end_token) is not int:
            raise text.refuse('eos_token_id', 'is not one token, at which the embedding is read')
        if (end_token == 2 and kind != 'metaclip_2') or end_token == vocab_size - 1:
            end_token = None  # transformers' sign for the highest id, or the highest id itself
        notes += _longest_text(folder, text, read_padding=siglip)
        neck = _hugging_face_tower(
            text, text.values['projection_size'] if siglip else embed_dim) | dict(
            vocab_size=vocab_size, context_length=text.values['max_position_embeddings'],
            end_token=end_token, **_tokenizer(folder, end_token))
    pixels, more_notes = _hugging_face_pixels(folder, kind)
    return config.description(
        notes + more_notes, backbone=backbone, neck=neck, data_preprocessor=pixels)


def _hugging_face_tower(config: _Config, embed_dim: Any) -> dict[str, Any]:
    values = config.values
    if values['hidden_act'] not in ACTIVATIONS:
        raise config.refuse('hidden_act')
    return dict(
        width=values['hidden_size'], layers=values['num_hidden_layers'],
        heads=values['num_attention_heads'], mlp_width=values['intermediate_size'],
        embed_dim=embed_dim, activation=values['hidden_act'], norm_eps=values['layer_norm_eps'])


def _longest_text(folder: Path, text: _Config, *, read_padding: bool) -> tuple[str, ...]:
    """Notes where the tokenizer cuts and pads texts at another length than the positions'."""
    file = folder / 'tokenizer_config.json'
    config = _Config(read_tokenizer_config(folder), str(file))
    longest = config.get('model_max_length')
    positions = text.values['max_position_embeddings']
    if not isinstance(longest, int | float) or not 0 < longest < positions:
        return ()
    if read_padding:
        raise config.refuse('model_max_length', f'is less than the {positions} positions of the '
                            'text encoder (text_config.max_position_embeddings), all of which are '
                            'read here, padding too')
    return (f'{file}: model_max_length={longest!r}: texts are cut there by the tokenizer of the '
            f'original, and here at {positions} tokens (context_length of TokenizeText)', )


CLIP_TOKENIZERS = ('CLIPTokenizer', 'CLIPTokenizerFast')


def _tokenizer(folder: Path, end_token: int | None) -> dict[str, str]:
    """The argument ``tokenizer``: 'clip', or the name of another; nothing where none is named."""
    name = read_tokenizer_config(folder).get('tokenizer_class')
    by_files = _tokenizer_by_files(folder)
    if by_files:
        return by_files
    other = _named(name if name and name not in CLIP_TOKENIZERS else 'another_vocabulary')
    if (folder / VOCABULARY).is_file():
        return other
    if (folder / 'vocab.json').is_file() or name in CLIP_TOKENIZERS:
        known = build_clip_tokenizer().get_vocab()
        told = (_Config.of(folder / 'vocab.json').values
                if (folder / 'vocab.json').is_file() else known)
        clips = len(told) == len(known) and are_clips(told | added_tokens(folder))
        return dict(tokenizer='clip') if clips else other
    if name is None and end_token not in (None, END_TOKEN):
        name = f'end_token_{end_token}'
    return {} if name is None else _named(name)


def _tokenizer_by_files(folder: Path) -> dict[str, str]:
    """The argument ``tokenizer`` by ``tokenizer.json``; nothing where that cannot be used."""
    with suppress(FileNotFoundError, UserFileError):  # who needs it is told what is wrong
        return dict(tokenizer=name_of(folder))
    return {}


def _named(tokenizer: Any) -> dict[str, str]:
    """The argument ``tokenizer``, as a name that a checkpoint's own config may have."""
    return dict(tokenizer=re.sub('[^A-Za-z0-9_]+', '_', str(tokenizer))[:40])


def _hugging_face_pixels(folder: Path, kind: str) -> tuple[dict[str, tuple], tuple[str, ...]]:
    processor = read_processor(folder, kind)
    if processor is None:
        return {}, ()
    config = _Config(dict(processor.values), str(processor.file))
    clips = {name: [value / 255 for value in values]
             for name, values in (('image_mean', CLIP_MEAN), ('image_std', CLIP_STD))}
    with naming(processor.file):
        mean, std = processor.normalisation(
            clips if processor.kind == 'CLIPImageProcessor' else None)
    # 3 is PIL's number of bicubic.
    notes = config.notes_on_pixels(resample=3, do_resize=True, do_center_crop=True)
    size = config.get('size')
    if isinstance(size, dict) and 'height' in size:
        notes += config.notes_on_pixels(size=None)
    return dict(mean=mean, std=std), notes


# What open_clip's configs may say: by its default where only that is implemented, and names of
# what is read, or without a meaning where those have their defaults.
_BLOCK = dict(ls_init_value=None, block_type=None, qk_norm=False, scaled_cosine_attn=False,
              scale_heads=False, scale_attn_inner=False, scale_attn=False, scale_fc=False,
              final_ln_after_pool=False)
_OPEN_CLIP = dict(
    model=(dict(multimodal_cfg=None), """embed_dim vision_cfg text_cfg quick_gelu custom_text
           init_logit_scale init_logit_bias nonscalar_logit_scale cast_dtype output_dict"""),
    vision=(dict(_BLOCK, timm_model_name=None, attentional_pool=False, no_ln_pre=False,
                 pos_embed_type='learnable', pool_type='tok'),
            """layers width head_width mlp_ratio patch_size image_size act_kwargs norm_kwargs
            patch_dropout output_tokens attn_pooler_queries attn_pooler_heads timm_model_pretrained
            timm_pool timm_proj timm_proj_bias timm_drop timm_drop_path"""),
    text=(dict(_BLOCK, hf_model_name=None, embed_cls=False, no_causal_mask=False, proj_bias=False,
               proj_type='linear', use_pad_mask=False),
          """context_length vocab_size hf_tokenizer_name tokenizer_mode tokenizer_kwargs width
          heads layers mlp_ratio pad_id eos_id pool_type act_kwargs norm_kwargs output_tokens
          correct_cls_mask hf_model_pretrained hf_proj_type hf_pooler_type"""))


def _trunks(names: str, text: dict[str, Any], **arguments: Any) -> dict[str, tuple[dict, dict]]:
    return {f'vit_{name}': (arguments, text) for name in names.split()}


_PE = dict(activation='gelu', norm_eps=1e-5, pooling_heads=8, rotary='RotaryPositions2D')
# What SigLIP's text encoder has otherwise than CLIP's.
_SIGLIP_TEXT = dict(no_causal_mask=True, proj_bias=True, pool_type='last')
# The image encoders of timm's that ours can be, and the text encoder that goes with them.
_TIMM = {
    **_trunks('pe_core_tiny_patch16_384', {}, heads=3, **_PE),
    **_trunks('pe_core_small_patch16_384', {}, heads=6, **_PE),
    **_trunks('pe_core_base_patch16_224', {}, heads=12, **_PE),
    **_trunks('pe_core_large_patch14_336 pe_core_gigantic_patch14_448', {}, heads=16, **_PE),
    **{name: trunk for heads, activation, names in (
        (12, 'gelu', '''base_patch16_siglip_224 base_patch16_siglip_256 base_patch16_siglip_384
                        base_patch16_siglip_512'''),
        (12, 'gelu_pytorch_tanh', 'base_patch32_siglip_256'),
        (16, 'gelu', '''large_patch16_siglip_256 large_patch16_siglip_384
                        so400m_patch14_siglip_224 so400m_patch14_siglip_378
                        so400m_patch14_siglip_384'''),
        (16, 'gelu_pytorch_tanh', '''large_patch16_siglip_512 so400m_patch16_siglip_256
                                     so400m_patch16_siglip_384 so400m_patch16_siglip_512
                                     giantopt_patch16_siglip_256 giantopt_patch16_siglip_384'''),
    ) for name, trunk in _trunks(names, _SIGLIP_TEXT, heads=heads, pooling_heads=heads,
                                 activation=activation, norm_eps=1e-6).items()},
}


def _read_open_clip(file: _Config, folder: Path) -> Description:
    config = file.section('model_cfg') if 'model_cfg' in file.values else file
    vision, text = config.section('vision_cfg'), config.section('text_cfg')
    timm = vision.get('timm_model_name')
    trunk, of_text = _TIMM.get(timm, ({}, {})) if isinstance(timm, str) else ({}, {})
    siglip = of_text is _SIGLIP_TEXT
    fixed = dict(model={}, text=of_text, vision=dict(
        timm_model_name=timm, timm_pool='map', timm_proj='none' if siglip else None) if trunk
        else {})
    for part, kind in ((config, 'model'), (vision, 'vision'), (text, 'text')):
        defaults, read = _OPEN_CLIP[kind]
        for name, value in part.values.items():
            if name in fixed[kind]:
                continue
            if name in defaults:
                if value != defaults[name]:
                    raise part.refuse(name)
            elif name not in read.split():
                raise part.refuse(name, 'is not known here')
        for name, value in fixed[kind].items():
            if part.get(name) != value:
                raise part.refuse(name)
    embed_dim, quick = config.get('embed_dim'), config.get('quick_gelu', False)
    if quick not in (True, False, None):
        raise config.refuse('quick_gelu', 'is neither true nor false')
    notes = vision.notes_on_dropout('patch_dropout')
    if trunk:
        side, more_notes = vision.read_pixels(int(re.findall(r'patch(\d+)', str(timm))[0]))
        backbone, notes = dict(trunk, embed_dim=embed_dim, image_size=side), notes + more_notes
    else:
        backbone = _open_clip_tower(vision, embed_dim, bool(quick), width=768) | dict(
            image_size=vision.side('image_size', 224), patch_size=vision.side('patch_size', 16))
        head_width = vision.get('head_width', 64)
        if type(head_width) is not int or head_width < 1 or backbone['width'] % head_width:
            raise vision.refuse('head_width', f"does not divide the width {backbone['width']}")
        backbone['heads'] = backbone['width'] // head_width
    vocab_size, pooling = text.get('vocab_size', 49408), text.get('pool_type', 'argmax')
    if pooling not in ('argmax', 'eos') and not siglip:
        raise text.refuse('pool_type')
    end_token = text.get('eos_id', 2) if pooling == 'eos' else None
    if end_token is not None and end_token == vocab_size - 1:
        end_token = None
    tokenizer = dict(tokenizer='clip')
    for name in ('tokenizer_kwargs', 'tokenizer_mode', 'hf_tokenizer_name'):
        if text.get(name):
            tokenizer = _tokenizer_by_files(folder) or _named(text.get(name))
    neck = _open_clip_tower(text, embed_dim, bool(quick), width=512) | dict(
        heads=text.get('heads', 8), vocab_size=vocab_size, end_token=end_token,
        context_length=text.get('context_length', 77), **tokenizer)
    pixels: dict[str, tuple] = {}
    if isinstance(file.get('preprocess_cfg'), dict):
        picture = file.section('preprocess_cfg')
        if not trunk or {'mean', 'std'} & picture.values.keys():  # or those of the layout
            pixels = picture.pixels(picture.get('mean'), picture.get('std'), 1 / 255)
        notes += picture.notes_on_pixels(**{
            name: expected for name, expected in dict(
                interpolation='bicubic', resize_mode='shortest').items()
            if picture.get(name) is not None})
    return file.description(notes, backbone=backbone, neck=neck, data_preprocessor=pixels)


def _open_clip_tower(config: _Config, embed_dim: Any, quick: bool, width: int) -> dict[str, Any]:
    width, ratio = config.get('width', width), config.get('mlp_ratio', 4.0)
    layers, eps = config.get('layers', 12), config.get('norm_kwargs') or {}
    for name, value in (('width', width), ('layers', layers)):
        if type(value) is not int or value < 1:
            raise config.refuse(name)
    if type(ratio) not in (int, float) or not 0 < ratio < 1000:
        raise config.refuse('mlp_ratio', 'is no factor of the width')
    if not isinstance(eps, dict) or set(eps) - {'eps'}:
        raise config.refuse('norm_kwargs')
    activation = config.get('act_kwargs')
    known = {None: 'gelu', 'none': 'gelu', 'tanh': 'gelu_pytorch_tanh'}
    if activation is not None and (quick or not isinstance(activation, dict)
                                   or set(activation) - {'approximate'}
                                   or activation.get('approximate') not in known):
        raise config.refuse('act_kwargs')
    return dict(
        width=width, layers=layers, mlp_width=int(width * ratio), embed_dim=embed_dim,
        norm_eps=eps.get('eps', 1e-5),
        activation='quick_gelu' if quick else known[(activation or {}).get('approximate')])
