_base_ = './tvtsv2_vit-b16.py'
model = dict(
    backbone=dict(patch_size=14, width=1024, layers=24, heads=16, embed_dim=768),
    neck=dict(width=768, heads=12, embed_dim=768),
    sorting_head=dict(embed_dim=768, heads=12))
