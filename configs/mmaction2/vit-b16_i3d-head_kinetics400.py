# python tools/train.py configs/mmaction2/vit-b16_i3d-head_kinetics400.py \
#     --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
# A linear layer on the mean of the projected patches.
# The encoder is frozen (model.backbone.frozen).
_base_ = [
    'mmaction::_base_/default_runtime.py', 'mmaction::_base_/schedules/sgd_50e.py',
    '../_base_/models/recognizer_vit-b16.py', '../_base_/datasets/kinetics400_recognizer.py'
]
model = dict(
    backbone=dict(output='map'),
    cls_head=dict(type='I3DHead', dropout_ratio=0.5))
