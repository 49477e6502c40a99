# InternVideo-MM-L/14. Weights: InternVideo-MM-L-14.ckpt, to which the README of InternVideo1 in
# github.com/OpenGVLab/InternVideo leads; all else as of B/16.
_base_ = './internvideo_b16.py'
model = dict(
    backbone=dict(patch_size=14, width=1024, layers=24, heads=16, embed_dim=768),
    neck=dict(width=768, heads=12, embed_dim=768))
