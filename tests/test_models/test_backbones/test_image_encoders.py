"""SpaceTimeViT as the image encoders of others: one frame is what a picture is to them."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from tests.clip_models import randomize
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.layouts import OPENCLIP_PE_CORE, Layout
from tvtsv2_mm.checkpoints.layouts import SIGLIP as SIGLIP_LAYOUT
from tvtsv2_mm.models import FramewiseViT, SpaceTimeViT
from tvtsv2_mm.models.layers import divided_attention

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


def convert(given: dict[str, Tensor], stem: str, layout: Layout) -> dict[str, Tensor]:
    # transformers 4 has the stem itself.
    own, unknown = convert_names(
        {stem + key.removeprefix(stem): value for key, value in given.items()}, layout)
    assert not unknown
    return {key.removeprefix('backbone.'): value for key, value in own.items()}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(('name', 'make', 'embed', 'stem', 'layout'), [
    ('siglip', make_siglip, embed_siglip, 'vision_model.', SIGLIP_LAYOUT),
    ('pe', make_pe, nn.Module.__call__, 'visual.trunk.', OPENCLIP_PE_CORE)])
@torch.no_grad()
def test_one_frame_is_the_picture(kind, name, make, embed, stem, layout):
    torch.manual_seed(0)
    foreign = make().eval()
    randomize(foreign)
    if name == 'pe':
        nn.init.zeros_(foreign.head.bias)  # as in what is published
    own = kind(**OPTIONS[name]).eval()
    lacking = own.load_state_dict(
        convert(foreign.state_dict(), stem, layout), strict=False)
    assert not lacking.unexpected_keys
    assert all(key == 'temporal_embedding' or '.timeattn.' in key or '.ln_3.' in key
               for key in lacking.missing_keys)
    if kind is SpaceTimeViT:
        nn.init.zeros_(own.temporal_embedding)
    images = torch.randn(3, 3, 32, 32)
    expected = embed(foreign, images)
    if kind is FramewiseViT:
        expected = F.normalize(expected, dim=-1)
    for class_only in (False, True):
        found = own(images[:, None], class_only=class_only)[0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.fixture(params=OPTIONS)
def options(request) -> dict:
    return OPTIONS[request.param]


def build(options: dict, kind: type = SpaceTimeViT, **changes) -> SpaceTimeViT:
    """One with random weights, none of them 0, in float64."""
    torch.manual_seed(0)
    model = kind(**options | changes)
    randomize(model)
    return model.double()


def clips(*shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(*shape, 3, 32, 32, dtype=torch.float64)


def outputs_and_gradients(model: nn.Module, *args) -> list[Tensor]:
    """An error where a parameter is not used: DDP would wait for it."""
    torch.manual_seed(2)
    outputs = [out for out in model(*args) if out is not None]
    loss = sum((out * torch.randn_like(out)).sum() for out in outputs)
    return [*outputs, *torch.autograd.grad(loss, list(model.parameters()))]


@pytest.mark.parametrize('time_init', ['qkv', 'proj'])
@torch.no_grad()
def test_without_a_class_token_equal_frames_start_as_one(time_init):
    torch.manual_seed(0)
    model = SpaceTimeViT(**SIGLIP | dict(time_init=time_init)).double()
    nn.init.zeros_(model.temporal_embedding)
    frame = clips(2, 1)
    expected, of_frame = model(frame)
    found, tokens = model(frame.expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(tokens, of_frame.repeat(1, 3, 1))


@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
@torch.no_grad()
def test_tokens(options, token_output):
    """The class token first, then patches frame by frame: of what the pooling reads."""
    model = build(options, token_output=token_output)
    seen = {}
    model.ln_post.register_forward_hook(lambda _, x, out: seen.update(raw=x[0], normed=out))
    kept = torch.tensor([[1, 5, 6], [15, 0, 3]])
    embeds, tokens = model(clips(2, 3), kept)
    assert embeds.shape == (2, model.embed_dim) == (2, options['embed_dim'] or options['width'])
    class_tokens = int(token_output == 'all_normed' and options is PE)
    assert tokens.shape == (2, class_tokens + 9, model.embed_dim)
    rows = seen['normed' if token_output == 'all_normed' else 'raw']
    patches = rows[:18].view(2, 9, -1)
    if options is PE:
        rows, patches = rows @ model.proj, patches @ model.proj
    torch.testing.assert_close(tokens[:, class_tokens:], patches)
    if class_tokens:
        torch.testing.assert_close(tokens[:, 0], rows[18:])


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('pooling', ['AttentionPooling', 'ClassTokenPooling'])
@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
@torch.no_grad()
def test_class_only(kind, pooling, token_output):
    """Of rotary positions the last block needs all tokens, whatever the pooling."""
    model = build(PE, kind, pooling=pooling, token_output=token_output)
    embeds, tokens = model(clips(2, 3), class_only=True)
    assert tokens is None
    torch.testing.assert_close(embeds, model(clips(2, 3))[0])


@pytest.mark.parametrize('kind', KINDS)
@torch.no_grad()
def test_kept_patches_keep_their_positions(options, kind):
    """All of them, in another order for each clip, are no mask; fewer are something else."""
    model, video = build(options, kind), clips(2, 3)
    kept = torch.stack([torch.randperm(16) for _ in range(2)])
    expected = model(video)[0]
    torch.testing.assert_close(model(video, kept)[0], expected)
    assert F.l1_loss(model(video, kept[:, :9])[0], expected) > 1e-3
    spoiled = video.clone()
    patches = spoiled.view(2, 3, 3, 4, 8, 4, 8)
    for clip, dropped in enumerate(kept[:, 9:]):
        for patch in dropped.tolist():
            patches[clip, :, :, patch // 4, :, patch % 4] = torch.nan
    torch.testing.assert_close(model(spoiled, kept[:, :9])[0], model(video, kept[:, :9])[0])


@pytest.mark.parametrize('way', ['plain', 'checkpointing', 'compile'])
@pytest.mark.parametrize('class_only', [True, False])
def test_every_way_gives_the_same(options, way, class_only, monkeypatch):
    """Products for CPUs or torch's attention, blocks that are computed again or compiled."""
    kept = torch.tensor([[1, 5, 6, 9], [15, 0, 3, 7], [2, 3, 4, 5]])
    args = clips(3, 3), kept, class_only
    model = build(options, drop_path_rate=0.5)
    expected = outputs_and_gradients(model, *args)
    model.checkpointing = way == 'checkpointing'
    if way == 'plain':
        monkeypatch.setattr(divided_attention, 'is_for_cpu', lambda x: False)
    if way == 'compile':
        for block in model.resblocks:
            block.compile(backend='eager')
    for found, other in zip(outputs_and_gradients(model, *args), expected, strict=True):
        torch.testing.assert_close(found, other, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
@pytest.mark.parametrize('output', ['embedding', 'map'])
def test_what_a_recognizer_takes_and_all_that_is_trained_is_used(
        options, kind, token_output, output):
    model = build(options, kind, token_output=token_output, output=output)
    video = clips(2, 3)
    found = model(video.transpose(1, 2))
    embeds, tokens = model.encode(video)
    if output == 'embedding':
        torch.testing.assert_close(found, embeds)
    else:
        assert found.shape == (2, model.embed_dim, 3, 4, 4)
        patch = tokens.unflatten(1, (3, -1))[:, 1, -16 + 4 * 2 + 3] if kind is FramewiseViT else (
            tokens[:, -48 + 16 + 4 * 2 + 3])
        torch.testing.assert_close(found[:, :, 1, 2, 3], patch)
    found.square().sum().backward()
    unused = [name for name, value in model.named_parameters()
              if value.requires_grad and value.grad is None]
    assert not unused


@pytest.mark.parametrize('kind', KINDS)
@torch.no_grad()
def test_a_trace_and_an_export_hold_plain_operations(options, kind):
    model, video = build(options, kind, output='embedding').eval(), clips(2, 3).transpose(1, 2)
    traced = torch.jit.trace(model, video, check_trace=False)
    assert 'PythonOp' not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(video.flip(0)), model(video.flip(0)))
    exported = torch.export.export(model, (video,), strict=False)
    torch.testing.assert_close(exported.module()(video.flip(0)), model(video.flip(0)))


def test_depths_and_names_for_adapters(options):
    model = SpaceTimeViT(**options)
    depths = {name: model.get_layer_depth(name)[0] for name, _ in model.named_parameters()}
    assert {depth for name, depth in depths.items() if name.startswith('pooling.')} == {3}
    assert depths['conv1.weight'] == 0
    adapted = SpaceTimeViT(**options, lora=dict(rank=2))
    trained = {name.split('.lora_')[0] for name, value in adapted.named_parameters()
               if value.requires_grad}
    assert {'pooling.attn.qkv', 'pooling.attn.proj', 'pooling.mlp.c_fc', 'pooling.mlp.c_proj',
            'resblocks.0.attn.qkv', 'resblocks.1.timeattn.proj'} <= trained
    adapted.load_state_dict(model.state_dict())
    video = clips(1, 3).float()
    torch.testing.assert_close(adapted(video)[0], model(video)[0], atol=1e-5, rtol=1e-5)


def test_weights_are_taken_for_more_pixels_and_frames(options, tmp_path):
    """Our own checkpoints, and none of a model with a class token into one without."""
    small = build(options)
    path = str(tmp_path / 'small.pth')
    torch.save({f'backbone.{name}': value for name, value in small.state_dict().items()}, path)
    start = dict(type='Pretrained', checkpoint=path, interpolate_positions=True)
    larger = SpaceTimeViT(**options | dict(image_size=48, num_frames=5, init_cfg=start))
    larger.init_weights()
    assert len(larger.load_report['resized']) == 2
    assert larger(torch.randn(1, 5, 3, 48, 48))[0].isfinite().all()
    for other in OPTIONS.values():
        if other is not options:
            with pytest.raises(ValueError, match='positional_embedding cannot be resized'):
                SpaceTimeViT(**other | dict(init_cfg=start)).init_weights()


@pytest.mark.parametrize(('change', 'message'), [
    (dict(class_token=False), "pooling='ClassTokenPooling' takes the class token"),
    (dict(pooling='MeanPooling'), "backbone.pooling='MeanPooling' is no registered module"),
    (dict(rotary='Rotary'), "backbone.rotary='Rotary' is no registered module"),
    (dict(pooling='AttentionPooling', pooling_heads=5), 'multiple of pooling_heads'),
    (dict(rotary='RotaryPositions2D', heads=16), 'heads of width 2'),
])
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        SpaceTimeViT(**SIZES | change)
