# The baseline: CLIP on every frame, averaged; pixels normalised as CLIP was trained.
_base_ = './tvtsv2_vit-b16.py'
model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305]),
    backbone=dict(type='FramewiseViT'))
