# python tools/train.py configs/mmaction2/tiny_i3d-head.py
# A linear layer on the mean of the projected patches.
# Six motions, on a CPU; the encoder is trained too.
_base_ = [
    'mmaction::_base_/default_runtime.py', 'mmaction::_base_/schedules/sgd_50e.py',
    '../_base_/models/recognizer_tiny.py', '../_base_/datasets/narrated_shapes_recognizer.py'
]
model = dict(
    backbone=dict(output='map'),
    cls_head=dict(type='I3DHead', dropout_ratio=0.5))
