"""Small backbones of MMAction2 and mmpretrain; all read 4 frames of 32 pixels."""

import torch
from mmengine.registry import DefaultScope

from tvtsv2_mm.models import OpenMMLabBackbone
from tvtsv2_mm.registry import MODELS

_VIT = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)
BACKBONES = {
    'TimeSformer': dict(
        type='mmaction.TimeSformer', num_frames=4, img_size=32, patch_size=8, embed_dims=24,
        num_heads=2, num_transformer_layers=2),
    'VideoMAE': dict(
        type='mmaction.VisionTransformer', img_size=32, patch_size=8, embed_dims=24, depth=2,
        num_heads=2, num_frames=4),
    'UniFormerV2': dict(
        type='mmaction.UniFormerV2', input_resolution=32, patch_size=8, width=24, layers=2,
        heads=2, t_size=4, return_list=[0, 1], n_layers=2, n_dim=24, n_head=2,
        mlp_dropout=[0.1, 0.1], no_lmhra=False, double_lmhra=True, clip_pretrained=False),
    'VideoSwin': dict(
        type='mmaction.SwinTransformer3D', patch_size=(2, 4, 4), window_size=(8, 7, 7),
        arch=dict(embed_dims=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2])),
    'MViT': dict(
        type='mmaction.MViT', spatial_size=32, temporal_size=4,
        arch=dict(embed_dims=24, num_layers=3, num_heads=1, downscale_indices=[1])),
    'TSM': dict(type='mmaction.ResNetTSM', depth=50, pretrained=None, num_segments=4),
    'ResNet': dict(type='mmpretrain.ResNet', depth=18),
    'ViT': dict(type='mmpretrain.VisionTransformer', arch=_VIT, img_size=32, patch_size=8),
    'ViT, all tokens': dict(type='mmpretrain.VisionTransformer', arch=_VIT, img_size=32,
                            patch_size=8, out_type='raw'),
}


def make_backbone(name: str, **options) -> OpenMMLabBackbone:
    """With random weights everywhere, so that no output is zero or one by its start."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        backbone = MODELS.build(dict(type='OpenMMLabBackbone', backbone=BACKBONES[name],
                                     num_frames=4, image_size=32) | options)
    randomize(backbone)
    return backbone.eval()


def randomize(module: torch.nn.Module) -> None:
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)


def model_cfg(backbone: dict) -> dict:
    """A VideoTextModel of which only the backbone is theirs."""
    return dict(
        type='VideoTextModel', backbone=backbone,
        data_preprocessor=dict(type='VideoTextDataPreprocessor'),
        neck=dict(type='PartiallyFrozenTextEncoder', width=32, layers=2, heads=2, embed_dim=16,
                  frozen_layers=1, vocab_size=80, context_length=12),
        contrastive_head=dict(type='VideoTextContrastiveHead'),
        sorting_head=dict(type='TranscriptSortingHead', embed_dim=16, num_transcripts=3, heads=4))
