"""SigLIP and PE-core by all their names: equal to the original, or refused by name."""

import json
from pathlib import Path

import open_clip
import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file
from timm.models.eva import checkpoint_filter_fn
from torch import Tensor, nn
from torch.nn.functional import normalize, pad
from transformers import SiglipConfig, SiglipModel

from tests.clip_models import randomize
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint
from tvtsv2_mm.checkpoints.description import CLIP_MEAN
from tvtsv2_mm.checkpoints.foreign_configs import read_description
from tvtsv2_mm.checkpoints.layouts import PE_CORE
from tvtsv2_mm.registry import MODELS

HALF = (127.5, ) * 3
CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'
TEXT = dict(context_length=12, vocab_size=80, layers=2)


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        yield


@pytest.fixture
def small_trunks(monkeypatch):
    """timm's models with two blocks, four patches, and SigLIP's heads of width 8."""
    create = timm.create_model

    def create_small(name, **options):
        sizes = dict(ref_feat_shape=(2, 2)) if 'pe_core' in name else dict(embed_dim=8 * 12)
        side = int(name.split('patch')[1][:2])
        return create(name, **options, depth=2, img_size=2 * side, **sizes)

    monkeypatch.setattr(timm, 'create_model', create_small)


def siglip_of_transformers(folder) -> nn.Module:
    model = SiglipModel(SiglipConfig(
        text_config=dict(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
            vocab_size=80, max_position_embeddings=12, projection_size=64),
        vision_config=dict(
            hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80,
            image_size=33, patch_size=16))).eval()
    randomize(model)
    model.save_pretrained(folder)
    (folder / 'tokenizer_config.json').write_text('{"tokenizer_class": "GemmaTokenizer"}')
    return model


def config_of(name: str) -> dict:
    config = open_clip.get_model_config(name)
    if config is None:
        pytest.skip(f'this version of open_clip has no {name}')
    return config


def of_open_clip(folder, name: str) -> nn.Module:
    config = config_of(name)
    config['text_cfg'] |= TEXT
    config['embed_dim'] = 96
    side = int(config['vision_cfg']['timm_model_name'].split('patch')[1][:2])
    config['vision_cfg']['image_size'] = 2 * side
    config.pop('custom_text')
    model = open_clip.CustomTextCLIP(**config).eval()
    randomize(model)
    if 'PE' in name:
        nn.init.zeros_(model.visual.trunk.head.bias)
    save_file(model.state_dict(), folder / 'open_clip_model.safetensors')
    (folder / 'open_clip_config.json').write_text(json.dumps(dict(model_cfg=config)))
    return model


def pe_as_published(folder) -> nn.Module:
    """By the names of the authors' files, which timm's own conversion takes back to timm's."""
    model = of_open_clip(folder, 'PE-Core-T-16-384')
    found = inspect_checkpoint(folder)
    published, unknown = convert_names(found.weights, PE_CORE, to_foreign=True)
    assert not unknown
    published = {key: value.contiguous() for key, value in published.items()}
    of_timm = checkpoint_filter_fn(published, model.visual.trunk)
    torch.testing.assert_close(of_timm, dict(model.visual.trunk.state_dict()))
    for file in list(folder.iterdir()):
        file.unlink()
    torch.save(published, folder / 'PE-Core.pt')
    return model


MAKERS = dict(
    siglip=siglip_of_transformers,
    openclip_siglip=lambda folder: of_open_clip(folder, 'ViT-B-16-SigLIP'),
    openclip_siglip2=lambda folder: of_open_clip(folder, 'ViT-B-32-SigLIP2-256'),
    openclip_pe=lambda folder: of_open_clip(folder, 'PE-Core-T-16-384'),
    pe=pe_as_published,
)


@torch.no_grad()
def embed(model: nn.Module, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    if hasattr(model, 'encode_image'):
        return model.encode_image(images), model.encode_text(tokens)
    found = (model.get_image_features(images), model.get_text_features(tokens))
    return tuple(getattr(one, 'pooler_output', one) for one in found)


def make_tokens() -> Tensor:
    tokens = torch.randint(3, 78, (3, 12))
    tokens[:, 7], tokens[:, 8:] = 79, 0
    return tokens


@pytest.mark.parametrize('name', MAKERS)
@pytest.mark.parametrize('written', [None, 'own.safetensors'])
@torch.no_grad()
def test_outputs_are_the_originals(tmp_path, small_trunks, name, written):
    torch.manual_seed(0)
    foreign = MAKERS[name](tmp_path)
    source = tmp_path
    if name == 'pe':
        source = tmp_path / 'PE-Core.pt'
    if written:
        convert_checkpoint(source, tmp_path / 'converted' / written)
        source = tmp_path / 'converted' / written
    found = inspect_checkpoint(source)
    assert found.config['data_preprocessor']['mean'] == HALF or written
    ours = MODELS.build(found.config).eval()
    load_checkpoint(ours, str(source))
    side = ours.backbone.image_size
    images, tokens = torch.randn(2, 3, side, side), make_tokens()
    pictures = images
    if name == 'siglip':  # whose last row and column are no whole patch
        pictures = pad(images, (0, 1, 0, 1), value=3)
    image_embeds, text_embeds = embed(foreign, pictures, tokens)
    found = ours.backbone(images[:, None])[0], ours.encode_text(tokens)
    for one, other in zip(found, (image_embeds, text_embeds), strict=True):
        torch.testing.assert_close(
            normalize(one, dim=-1), normalize(other, dim=-1), atol=1e-5, rtol=0)
    if 'siglip' in name:
        head = ours.contrastive_head
        assert head.logit_scale.item() == pytest.approx(foreign.logit_scale.item())
        assert head.logit_bias.item() == pytest.approx(foreign.logit_bias.item())


@torch.no_grad()
def test_pe_with_a_bias_of_the_head_is_refused(tmp_path, small_trunks):
    model = of_open_clip(tmp_path, 'PE-Core-T-16-384')
    model.visual.trunk.head.bias.fill_(1)
    save_file(model.state_dict(), tmp_path / 'open_clip_model.safetensors')
    with pytest.raises(CheckpointError, match=r'visual\.trunk\.head\.bias is not 0'):
        inspect_checkpoint(tmp_path)


@pytest.mark.parametrize(('change', 'message'), [
    (dict(timm_pool='avg'), r"vision_cfg\.timm_pool='avg'"),
    (dict(timm_proj='linear'), r"vision_cfg\.timm_proj='linear'"),
    (dict(timm_model_name='vit_base_patch16_siglip_gap_224'), r'vision_cfg\.timm_model_name='),
    (dict(no_causal_mask=False), r'text_cfg\.no_causal_mask=False'),
    (dict(proj_bias=False), r'text_cfg\.proj_bias=False'),
    (dict(pool_type='argmax'), r"text_cfg\.pool_type='argmax'"),
])
def test_half_a_siglip_is_refused(tmp_path, change, message):
    config = config_of('ViT-B-16-SigLIP')
    config['vision_cfg' if 'vision' in message else 'text_cfg'] |= change
    (tmp_path / 'open_clip_config.json').write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        read_description(tmp_path / 'open_clip_model.safetensors', with_folder=True)


def test_a_siglip_without_its_head_is_refused(tmp_path):
    folder = tmp_path / 'model'
    siglip_of_transformers(folder)
    config = json.loads((folder / 'config.json').read_text())
    config['vision_config']['vision_use_head'] = False
    (folder / 'config.json').write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r'vision_use_head=False leaves the embedding out'):
        inspect_checkpoint(folder)


@pytest.mark.parametrize(('name', 'rotary'), [
    ('openclip_pe', None), ('openclip_siglip', 'RotaryPositions2D')])
def test_positions_that_no_tensor_tells_are_compared(tmp_path, small_trunks, name, rotary):
    MAKERS[name](tmp_path)
    config = inspect_checkpoint(tmp_path).config
    assert config['backbone'].get('rotary') != rotary
    config['backbone']['rotary'] = rotary
    with pytest.raises(CheckpointError, match=r'backbone\.rotary: .* by the model config'):
        load_checkpoint(MODELS.build(config), str(tmp_path))


def test_a_vocabulary_of_nobody_is_asked_for(tmp_path):
    torch.manual_seed(0)
    siglip_of_transformers(tmp_path)
    (tmp_path / 'tokenizer_config.json').unlink()
    with pytest.raises(CheckpointError, match=r'has 80 tokens, .* Say whose: neck\.tokenizer='):
        inspect_checkpoint(tmp_path)


@pytest.mark.parametrize(('name', 'original'), [
    ('siglip2_b16', 'ViT-B-16-SigLIP2'), ('siglip2_so400m', 'ViT-SO400M-16-SigLIP2-256'),
    ('pe_b16', 'PE-Core-B-16'), ('pe_l14', 'PE-Core-L-14-336'),
    ('metaclip2_h14', 'ViT-H-14-worldwide-quickgelu')])
def test_size_configs_are_of_the_published_sizes(tmp_path, name, original):
    """By OpenCLIP's configs; the kind of GELU of SigLIP's images is transformers'."""
    file = tmp_path / 'open_clip_config.json'
    file.write_text(json.dumps(config_of(original)))
    told = read_description(tmp_path / 'open_clip_model.safetensors', with_folder=True)
    assert told is not None
    config = Config.fromfile(CONFIGS / f'{name}.py').model
    with torch.device('meta'):
        model = MODELS.build(config)
    for part in ('backbone', 'neck'):
        expected = dict(getattr(told, part))
        built = dict(getattr(model, part).built_with)
        expected.pop('tokenizer', None)
        if part == 'backbone' and name.startswith('siglip'):
            assert built['activation'] == 'gelu_pytorch_tanh'
            expected.pop('activation')
        assert expected.items() <= built.items()
    mean = HALF if 'metaclip' not in name else CLIP_MEAN
    assert tuple(config.data_preprocessor.mean) == pytest.approx(mean)
    assert model.backbone.embed_dim == model.neck.embed_dim
