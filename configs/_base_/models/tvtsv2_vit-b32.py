_base_ = './tvtsv2_vit-b16.py'
model = dict(backbone=dict(patch_size=32))
