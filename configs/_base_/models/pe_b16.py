# PE-core B/16 (Bolya et al., Perception Encoder, arXiv 2504.13181) as the base of TVTSv2.
# Weights: PE-Core-B16-224.pt of huggingface.co/facebook/PE-Core-B16-224, loaded as it is.
# Licence: Apache-2.0; read its page.
_base_ = './tvtsv2_vit-b16.py'
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        embed_dim=1024,
        pooling='AttentionPooling',
        pooling_heads=8,
        rotary='RotaryPositions2D',
        activation='gelu'),
    neck=dict(
        width=1024,
        layers=24,
        heads=16,
        embed_dim=1024,
        frozen_layers=18,
        context_length=32,
        activation='gelu'),
    sorting_head=dict(embed_dim=1024, heads=16))
