# The baseline: CLIP on every frame, averaged; pixels scaled and normalised as CLIP was trained.
_base_ = './tvtsv2_vit-b16.py'
model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305]),
    backbone=dict(type='FramewiseViT'))
# What a config of the baseline puts in the place of the release's first three steps.
clip_frames = [
    dict(type='OpenVideo', short_side=224, interpolation='bicubic'),
    dict(type='SampleClipFrames', num_frames=12, mode='middle', num_clips=1),
    dict(type='DecodeClip'),
]
