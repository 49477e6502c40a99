# python tools/train.py configs/mmaction2/tiny_i3d-head.py
# A linear layer on the mean of the projected patches.
_base_ = './tiny_timesformer-head.py'
model = dict(backbone=dict(output='map'), cls_head=dict(type='I3DHead', dropout_ratio=0.5))
