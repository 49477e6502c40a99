_base_ = './tvtsv2_vit-b16.py'
model = dict(
    backbone=dict(
        patch_size=14,
        width=1280,
        layers=32,
        heads=16,
        embed_dim=1024,
        activation='gelu',
        token_output='patches_raw'),
    neck=dict(
        width=1024, layers=24, heads=16, embed_dim=1024, frozen_layers=18, activation='gelu'),
    sorting_head=dict(embed_dim=1024, heads=16))
