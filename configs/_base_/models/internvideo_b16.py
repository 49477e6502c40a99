# InternVideo-MM-B/16 (Wang et al., arXiv 2212.03191), the video-text model of InternVideo 1.
# Weights: InternVideo-MM-B-16.ckpt, to which the README of InternVideo1/Pretrain/
# Multi-Modalities-Pretraining in github.com/OpenGVLab/InternVideo leads; loaded as they are. The
# code is under Apache-2.0; no licence of the weights is stated there.
# Frames and pixels are those of its demo, to the last bit. Otherwise than there: texts of more than
# 77 tokens are cut and counted (it refuses them), and html entities in them stay as they are.
model = dict(
    type='VideoTextModel',
    data_preprocessor=dict(
        type='VideoTextDataPreprocessor',
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305]),
    backbone=dict(
        type='InternVideoViT',
        image_size=224,
        patch_size=16,
        width=768,
        layers=12,
        heads=12,
        embed_dim=512,
        num_frames=8,
        decoders=4,
        activation='quick_gelu'),
    neck=dict(
        type='PartiallyFrozenTextEncoder',
        width=512,
        layers=12,
        heads=8,
        embed_dim=512,
        frozen_layers=9,
        activation='quick_gelu'),
    # Its learnt scale is not taken; the one that CLIP's may not exceed is.
    contrastive_head=dict(type='VideoTextContrastiveHead', temperature=0.01))
# What a config of it puts in the place of the release's first three steps.
internvideo_frames = [
    dict(type='OpenVideo', short_side=256, interpolation='bilinear'),
    dict(type='SampleClipFrames', num_frames=8, mode='ends'),
    dict(type='DecodeClip'),
]
