# python tools/train.py configs/mmaction2/vit-b16_i3d-head_kinetics400.py \
#     --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
# A linear layer on the mean of the projected patches of the frozen encoder.
_base_ = './vit-b16_timesformer-head_kinetics400.py'
model = dict(backbone=dict(output='map'), cls_head=dict(type='I3DHead', dropout_ratio=0.5))
