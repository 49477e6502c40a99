# For CPUs: 16 patches of a 64 px frame, 8 frames.
_base_ = './tvtsv2_vit-b16.py'
model = dict(
    backbone=dict(
        image_size=64, patch_size=16, width=96, layers=3, heads=3, embed_dim=64, num_frames=8),
    neck=dict(
        width=96, layers=3, heads=3, embed_dim=64, frozen_layers=2, context_length=32),
    sorting_head=dict(embed_dim=64, heads=4))
