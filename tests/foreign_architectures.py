"""What becomes of every architecture of OpenCLIP and of transformers' CLIPs, two layers deep.

``python -m tests.foreign_architectures`` writes it anew, for the table of docs/bases.md.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import tvtsv2_mm  # noqa: F401  isort:skip (before open_clip, which needs its mends)
import open_clip
import timm
import torch
import transformers
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from tests.clip_models import randomize
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.convert_checkpoint import inspect_checkpoint
from tvtsv2_mm.checkpoints.foreign_configs import read_description
from tvtsv2_mm.registry import MODELS

RECORD = Path(__file__).parent / 'data' / 'foreign_architectures.json'
VOCABULARY, CONTEXT, END = 80, 12, 79
# What is loaded and has the original's embeddings of frames and texts, of frames or of texts alone.
EQUAL, IMAGES, TEXTS = 'equal', 'equal (images)', 'equal (texts)'


def small_open_clip(name: str) -> dict:
    """A config of OpenCLIP's with two narrow layers; what else it says it goes on saying."""
    config = open_clip.get_model_config(name)
    vision, text = config['vision_cfg'], config['text_cfg']
    config['embed_dim'] = 24
    text |= dict(vocab_size=VOCABULARY, context_length=CONTEXT, layers=2)
    text['width'] = 8 * text.get('heads', 8)
    if 'timm_model_name' in vision:
        found = re.search(r'patch(\d+)', vision['timm_model_name'])
        vision['image_size'] = 2 * int(found[1]) if found else vision['image_size']
        if vision.get('timm_proj') == 'none':
            config['embed_dim'] = 8 * _timm_heads(vision['timm_model_name'])
    elif isinstance(vision['layers'], int):
        vision |= dict(layers=2, width=2 * vision.get('head_width', 64),
                       image_size=2 * vision.get('patch_size', 16))
    return config


def _timm_heads(name: str) -> int:
    return next((heads for size, heads in dict(tiny=3, small=6, base=12).items() if size in name),
                16)


@contextmanager
def small_timm() -> Iterator[None]:
    """In it, timm's models have two blocks of heads of width 8, for four patches."""
    create = timm.create_model

    def create_small(name: str, **options) -> nn.Module:
        sizes: dict = dict(ref_feat_shape=(2, 2)) if 'pe_core' in name else {}
        return create(name, depth=2, embed_dim=8 * _timm_heads(name), img_size=2 * int(
            re.findall(r'patch(\d+)', name)[0]), **sizes, **options)

    with patch.object(timm, 'create_model', create_small):
        yield


def write_open_clip(config: dict, folder: Path) -> Callable[[], nn.Module]:
    """The config; what makes the model, when it is called for, puts its weights beside."""
    (folder / 'open_clip_config.json').write_text(json.dumps(config))

    def make() -> nn.Module:
        options = {key: value for key, value in config.items() if key != 'custom_text'}
        kind = open_clip.CustomTextCLIP if config.get('custom_text') else open_clip.CLIP
        with small_timm():
            model = kind(**options).eval()
        randomize(model)
        if 'pe_core' in config['vision_cfg'].get('timm_model_name', ''):
            nn.init.zeros_(model.visual.trunk.head.bias)  # as in what is published
        save_file({key: value.contiguous() for key, value in model.state_dict().items()},
                  folder / 'open_clip_model.safetensors')
        return model

    return make


_TEXT = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
             num_attention_heads=2, max_position_embeddings=CONTEXT, bos_token_id=0,
             eos_token_id=END, pad_token_id=1)
_VISION = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
               image_size=32, patch_size=16)


def _both(name: str, text: dict | None = None, vision: dict | None = None, **top) -> nn.Module:
    config = getattr(transformers, f'{name}Config')(
        text_config=_TEXT | (text or {}), vision_config=_VISION | (vision or {}), **top)
    return getattr(transformers, 'CLIPSegForImageSegmentation' if name == 'CLIPSeg'
                   else f'{name}Model')(config)


def _one(name: str, config: str, sizes: dict) -> nn.Module:
    return getattr(transformers, name)(getattr(transformers, config)(**sizes))


_SIGLIP_TEXT = dict(projection_size=32)
# transformers' models with an encoder of images and one of texts, or one of the two.
TRANSFORMERS: dict[str, Callable[[], nn.Module]] = {
    'CLIPModel': partial(_both, 'CLIP', projection_dim=24),
    'CLIPVisionModelWithProjection': partial(
        _one, 'CLIPVisionModelWithProjection', 'CLIPVisionConfig', _VISION | dict(
            projection_dim=24)),
    'CLIPTextModelWithProjection': partial(
        _one, 'CLIPTextModelWithProjection', 'CLIPTextConfig', _TEXT | dict(projection_dim=24)),
    'CLIPVisionModel': partial(_one, 'CLIPVisionModel', 'CLIPVisionConfig', _VISION),
    'CLIPSegModel': partial(lambda: transformers.CLIPSegModel(transformers.CLIPSegConfig(
        text_config=_TEXT, vision_config=_VISION, projection_dim=24))),
    'CLIPSegForImageSegmentation': partial(
        _both, 'CLIPSeg', projection_dim=24, extract_layers=[0, 1], reduce_dim=16),
    'MetaClip2Model': partial(_both, 'MetaClip2', dict(eos_token_id=2), projection_dim=24),
    'SiglipModel': partial(_both, 'Siglip', _SIGLIP_TEXT),
    'SiglipVisionModel': partial(_one, 'SiglipVisionModel', 'SiglipVisionConfig', _VISION),
    'SiglipTextModel': partial(_one, 'SiglipTextModel', 'SiglipTextConfig', _TEXT | _SIGLIP_TEXT),
    'Siglip2Model': partial(_both, 'Siglip2', _SIGLIP_TEXT, dict(num_patches=4)),
    'AltCLIPModel': partial(_both, 'AltCLIP', dict(
        project_dim=32, type_vocab_size=1, max_position_embeddings=CONTEXT + 2),
        projection_dim=24),
    'ChineseCLIPModel': partial(_both, 'ChineseCLIP', projection_dim=24),
    'AlignModel': partial(lambda: transformers.AlignModel(transformers.AlignConfig(
        text_config=_TEXT, vision_config=dict(
            image_size=32, width_coefficient=0.1, depth_coefficient=0.1, hidden_dim=32),
        projection_dim=32))),
    'BlipModel': partial(_both, 'Blip', dict(
        encoder_hidden_size=32, projection_dim=24, bos_token_id=3, sep_token_id=4),
        projection_dim=24),
    'GroupViTModel': partial(_both, 'GroupViT', vision=dict(
        depths=[1, 1, 1], num_group_tokens=[4, 2, 0], num_output_groups=[4, 2, 0]),
        projection_dim=24, projection_intermediate_dim=32),
    'XCLIPModel': partial(_both, 'XCLIP', vision=dict(
        mit_hidden_size=24, mit_intermediate_size=32, mit_num_hidden_layers=1,
        mit_num_attention_heads=2, num_frames=2), projection_dim=24, prompt_layers=1,
        prompt_num_attention_heads=2),
    'OwlViTModel': partial(_both, 'OwlViT', projection_dim=24),
    'Owlv2Model': partial(_both, 'Owlv2', projection_dim=24),
    'FlavaModel': partial(lambda: transformers.FlavaModel(transformers.FlavaConfig(
        image_config=_VISION, text_config=_TEXT, multimodal_config=dict(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48),
        projection_dim=24))),
}


def write_transformers(name: str, folder: Path) -> Callable[[], nn.Module]:
    """A folder as ``save_pretrained`` writes it."""
    torch.manual_seed(0)
    model = TRANSFORMERS[name]().eval()
    randomize(model)
    model.save_pretrained(folder)
    if 'Siglip' in name:
        (folder / 'tokenizer_config.json').write_text('{"tokenizer_class": "GemmaTokenizer"}')
    return lambda: model


def embeds_of(model: nn.Module, images: Tensor, tokens: Tensor) -> tuple[Tensor | None,
                                                                         Tensor | None]:
    """The original's embeddings, where it has them."""
    found: list[Tensor | None] = []
    for names, argument, given in (
            (('encode_image', 'get_image_features'), 'pixel_values', images),
            (('encode_text', 'get_text_features'), 'input_ids', tokens)):
        method = next((getattr(model, name) for name in names if hasattr(model, name)), None)
        if method is not None:
            out = method(given)
        elif getattr(model, 'main_input_name', argument) == argument:
            out = model(**{argument: given})
        else:
            found.append(None)
            continue
        for name in ('image_embeds', 'text_embeds', 'pooler_output'):
            out = getattr(out, name, out)
        found.append(out)
    return found[0], found[1]


def make_tokens(end: int) -> Tensor:
    tokens = torch.randint(3, 78, (3, CONTEXT))
    tokens[:, 7], tokens[:, 8:] = end, 0
    return tokens


@torch.no_grad()
def outcome(make: Callable[[], nn.Module], folder: Path) -> str:
    """EQUAL and the like, or the message of the refusal.

    Raises:
        AssertionError: it is loaded, and other numbers come out.
    """
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        try:
            # Before a model is made that may be of any kind.
            read_description(folder / 'open_clip_model.safetensors', with_folder=True)
            model = make()
            ours = MODELS.build(inspect_checkpoint(folder).config).eval()
            load_checkpoint(ours, str(folder))
        except CheckpointError as error:
            return _told(error, folder)
    side = ours.backbone.image_size
    images = torch.randn(2, 3, side, side)
    end = getattr(ours.neck, 'end_token', None)
    tokens = make_tokens(END if end is None else end)
    image_embeds, text_embeds = embeds_of(model, images, tokens)
    assert image_embeds is not None
    assert_equal(ours.backbone(images[:, None])[0], image_embeds)
    if text_embeds is None or ours.neck is None:
        return IMAGES
    assert_equal(ours.encode_text(tokens), text_embeds)
    return EQUAL


def assert_equal(one: Tensor, other: Tensor) -> None:
    """To 1e-5 of their directions."""
    torch.testing.assert_close(
        normalize(one, dim=-1), normalize(other, dim=-1), atol=1e-5, rtol=0)


def _told(error: CheckpointError, folder: Path) -> str:
    """A message in one line, without the folder's and the files' names."""
    text = re.sub(re.escape(str(folder)) + r'[^ :]*:? ?', '', str(error))
    return ' '.join(text.split(' HuggingFaceBackbone and')[0].split())[:300]


def groups_of_open_clip() -> list[list[str]]:
    """Names of OpenCLIP's architectures; those of one small config are one group."""
    groups: dict[str, list[str]] = {}
    for name in open_clip.list_models():
        groups.setdefault(json.dumps(small_open_clip(name), sort_keys=True), []).append(name)
    return list(groups.values())


def main() -> None:
    """Write the record."""
    found: dict[str, dict[str, str]] = dict(open_clip={}, transformers={})
    for names in groups_of_open_clip():
        with tempfile.TemporaryDirectory() as folder:
            make = write_open_clip(small_open_clip(names[0]), Path(folder))
            found['open_clip'] |= dict.fromkeys(names, outcome(make, Path(folder)))
            print(names, found['open_clip'][names[0]], flush=True)
    for name in TRANSFORMERS:
        with tempfile.TemporaryDirectory() as folder:
            make = write_transformers(name, Path(folder))
            found['transformers'][name] = outcome(make, Path(folder))
            print(name, found['transformers'][name], flush=True)
    RECORD.write_text(json.dumps(found, indent=1) + '\n', 'utf-8')


if __name__ == '__main__':
    main()
