"""SpaceTimeViT as the image encoders of others: one frame is what a picture is to them."""

import pytest
import timm
import torch
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from tests.clip_models import randomize
from tvtsv2_mm.models import FramewiseViT, SpaceTimeViT

SIZES = dict(image_size=32, patch_size=8, width=32, layers=2, heads=2, mlp_width=48, num_frames=3)
SIGLIP = dict(
    SIZES, embed_dim=None, class_token=False, pre_norm=False, patch_bias=True,
    pooling='AttentionPooling', activation='gelu_pytorch_tanh', norm_eps=1e-6)
PE = dict(
    SIZES, embed_dim=24, pooling='AttentionPooling', pooling_heads=4, rotary='RotaryPositions2D',
    activation='gelu', mlp_width=128)
OPTIONS = dict(siglip=SIGLIP, pe=PE)
KINDS = [SpaceTimeViT, FramewiseViT]


def make_siglip() -> nn.Module:
    return SiglipVisionModel(SiglipVisionConfig(
        image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48))


def make_pe() -> nn.Module:
    return timm.create_model(
        'vit_pe_core_base_patch16_224', img_size=32, patch_size=8, embed_dim=32, depth=2,
        num_heads=2, attn_pool_num_heads=4, ref_feat_shape=(4, 4), num_classes=24)


def embed_siglip(foreign: nn.Module, images: Tensor) -> Tensor:
    return foreign(images).pooler_output


def embed_pe(foreign: nn.Module, images: Tensor) -> Tensor:
    return foreign(images) - foreign.head.bias  # 0 in what is published


def _linear(own: str, foreign: str) -> dict[str, str]:
    return {f'{own}.{kind}': f'{foreign}.{kind}' for kind in ('weight', 'bias')}


def convert_siglip(given: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {
        **_linear('conv1', 'embeddings.patch_embedding'), **_linear('ln_post', 'post_layernorm'),
        'positional_embedding': 'embeddings.position_embedding.weight',
        'pooling.probe': 'head.probe', 'pooling.attn.qkv.weight': 'head.attention.in_proj_weight',
        'pooling.attn.qkv.bias': 'head.attention.in_proj_bias',
        **_linear('pooling.attn.proj', 'head.attention.out_proj'),
        **_linear('pooling.ln', 'head.layernorm'), **_linear('pooling.mlp.c_fc', 'head.mlp.fc1'),
        **_linear('pooling.mlp.c_proj', 'head.mlp.fc2')}
    given = {key.removeprefix('vision_model.'): value for key, value in given.items()}
    own = {}
    for i in range(SIZES['layers']):
        block, foreign = f'resblocks.{i}', f'encoder.layers.{i}'
        for kind in ('weight', 'bias'):
            own[f'{block}.attn.qkv.{kind}'] = torch.cat(
                [given[f'{foreign}.self_attn.{x}_proj.{kind}'] for x in 'qkv'])
        for name, other in dict(
                ln_1='layer_norm1', ln_2='layer_norm2', attn='self_attn', mlp='mlp').items():
            last = dict(attn={'.proj': '.out_proj'}, mlp={'.c_fc': '.fc1', '.c_proj': '.fc2'})
            for end, other_end in last.get(name, {'': ''}).items():
                names |= _linear(f'{block}.{name}{end}', f'{foreign}.{other}{other_end}')
    return own | {name: given[other] for name, other in names.items()}


def convert_pe(given: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {
        'conv1.weight': 'patch_embed.proj.weight', 'pooling.probe': 'attn_pool.latent',
        **_linear('ln_pre', 'norm_pre'), **_linear('ln_post', 'norm'),
        **_linear('pooling.attn.proj', 'attn_pool.proj'), **_linear('pooling.ln', 'attn_pool.norm'),
        **_linear('pooling.mlp.c_fc', 'attn_pool.mlp.fc1'),
        **_linear('pooling.mlp.c_proj', 'attn_pool.mlp.fc2')}
    for i in range(SIZES['layers']):
        for name, other in {'ln_1': 'norm1', 'ln_2': 'norm2', 'attn.qkv': 'attn.qkv',
                            'attn.proj': 'attn.proj', 'mlp.c_fc': 'mlp.fc1',
                            'mlp.c_proj': 'mlp.fc2'}.items():
            names |= _linear(f'resblocks.{i}.{name}', f'blocks.{i}.{other}')
    own = {f'pooling.attn.qkv.{kind}': torch.cat(
        [given[f'attn_pool.{part}.{kind}'] for part in ('q', 'kv')])
        for kind in ('weight', 'bias')}
    own |= dict(class_embedding=given['cls_token'].flatten(), proj=given['head.weight'].T,
                positional_embedding=given['pos_embed'][0])
    return own | {name: given[other] for name, other in names.items()}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(('name', 'make', 'embed', 'convert'), [
    ('siglip', make_siglip, embed_siglip, convert_siglip),
    ('pe', make_pe, embed_pe, convert_pe)])
@torch.no_grad()
def test_one_frame_is_the_picture(kind, name, make, embed, convert):
    torch.manual_seed(0)
    foreign = make().eval()
    randomize(foreign)
    own = kind(**OPTIONS[name]).eval()
    lacking = own.load_state_dict(convert(foreign.state_dict()), strict=False)
    assert not lacking.unexpected_keys
    assert all(key == 'temporal_embedding' or '.timeattn.' in key or '.ln_3.' in key
               for key in lacking.missing_keys)
    if kind is SpaceTimeViT:
        nn.init.zeros_(own.temporal_embedding)
    images = torch.randn(3, 3, 32, 32)
    expected = embed(foreign, images)
    if kind is FramewiseViT:
        expected = nn.functional.normalize(expected, dim=-1)
    for class_only in (False, True):
        found = own(images[:, None], class_only=class_only)[0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
