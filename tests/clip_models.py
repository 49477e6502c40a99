"""Small CLIPs of other libraries, ours of the same sizes, and how far they agree."""

import open_clip
import torch
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPModel

from tvtsv2_mm.models import VideoTextModel

VISION = dict(image_size=32, patch_size=8)


def make_model(activation: str = 'quick_gelu', **changes) -> VideoTextModel:
    return VideoTextModel(
        backbone=dict(
            type='SpaceTimeViT', width=64, layers=2, heads=1, embed_dim=24, num_frames=4,
            activation=activation, **VISION) | changes,
        neck=dict(
            type='PartiallyFrozenTextEncoder', width=64, layers=2, heads=1, embed_dim=24,
            frozen_layers=1, vocab_size=80, context_length=12, activation=activation),
        contrastive_head=dict(type='VideoTextContrastiveHead'),
        sorting_head=dict(type='TranscriptSortingHead', embed_dim=24, num_transcripts=4, heads=4))


def randomize(module: torch.nn.Module) -> None:
    """So that no bias is zero and no norm is one."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)


def make_hugging_face(activation: str) -> CLIPModel:
    tower = dict(
        hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=1,
        hidden_act=activation)
    return CLIPModel(CLIPConfig(
        text_config=dict(vocab_size=80, max_position_embeddings=12, eos_token_id=2, bos_token_id=0,
                         **tower),
        vision_config=tower | VISION, projection_dim=24))


def make_open_clip(activation: str, kind: type = open_clip.CLIP) -> torch.nn.Module:
    return kind(
        embed_dim=24, quick_gelu=activation == 'quick_gelu',
        vision_cfg=dict(layers=2, width=64, head_width=64, **VISION),
        text_cfg=dict(context_length=12, vocab_size=80, width=64, heads=1, layers=2))


def make_custom_text_open_clip(activation: str) -> torch.nn.Module:
    return make_open_clip(activation, open_clip.CustomTextCLIP)


def start_without_time(model: VideoTextModel) -> None:
    """Time attention is zero from the start; its position table is not."""
    torch.nn.init.zeros_(model.backbone.temporal_embedding)


@torch.no_grad()
def embed(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Image and text embeddings of inputs that are the same in every call, l2-normalised."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(3, 3, 32, 32, generator=generator)
    tokens = torch.randint(1, 70, (5, 12), generator=generator)
    tokens[:, 7] = 79
    tokens[:, 8:] = 0
    model = model.eval()
    if isinstance(model, VideoTextModel):
        start_without_time(model)
        embeds = model.backbone(image[:, None])[0], model.encode_text(tokens)
    elif isinstance(model, CLIPModel):
        found = model(pixel_values=image, input_ids=tokens)
        embeds = found.image_embeds, found.text_embeds
    else:
        embeds = model.encode_image(image), model.encode_text(tokens)
    return tuple(normalize(value.float(), dim=-1) for value in embeds)
