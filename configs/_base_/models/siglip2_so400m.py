# SigLIP 2 So400m/16 of 256 pixels; see siglip2_b16.py. Weights: the folder of
# huggingface.co/google/siglip2-so400m-patch16-256.
_base_ = './siglip2_b16.py'
model = dict(
    backbone=dict(image_size=256, width=1152, layers=27, heads=16, mlp_width=4304),
    neck=dict(
        width=1152, layers=27, heads=16, mlp_width=4304, embed_dim=1152, frozen_layers=20),
    sorting_head=dict(embed_dim=1152, heads=16))
