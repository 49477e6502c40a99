# python tools/train.py configs/tvtsv2/tiny_pe_pretrain.py
# tiny_pretrain.py on a base like PE-core: rotary positions and attention pooling. From random
# weights.
_base_ = './tiny_pretrain.py'
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        pooling='AttentionPooling',
        pooling_heads=4,
        rotary='RotaryPositions2D',
        activation='gelu'),
    neck=dict(activation='gelu'))
