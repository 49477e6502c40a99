# python tools/train.py configs/mmaction2/tiny_attentive-head.py
# A learned query over the projected patches, and a linear layer.
# Six motions, on a CPU; the encoder is trained too.
_base_ = [
    'mmaction::_base_/default_runtime.py', 'mmaction::_base_/schedules/sgd_50e.py',
    '../_base_/models/recognizer_tiny.py', '../_base_/datasets/narrated_shapes_recognizer.py'
]
model = dict(
    backbone=dict(output='map'),
    cls_head=dict(type='tvtsv2_mm.AttentiveHead'))
optim_wrapper = dict(_delete_=True, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1))
