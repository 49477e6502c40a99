# ViCLIP-L/14. Weights: ViCLIP-L_InternVid-FLT-10M.pth and others of
# huggingface.co/OpenGVLab/ViCLIP; all else as of B/16.
_base_ = './viclip_b16.py'
model = dict(
    backbone=dict(patch_size=14, width=1024, layers=24, heads=16, embed_dim=768),
    neck=dict(width=768, heads=12, embed_dim=768))
