# python tools/train.py configs/mmaction2/vit-b16_attentive-head_kinetics400.py \
#     --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
# A learned query over the projected patches, and a linear layer.
# The encoder is frozen (model.backbone.frozen).
_base_ = [
    'mmaction::_base_/default_runtime.py', 'mmaction::_base_/schedules/sgd_50e.py',
    '../_base_/models/recognizer_vit-b16.py', '../_base_/datasets/kinetics400_recognizer.py'
]
model = dict(
    backbone=dict(output='map'),
    cls_head=dict(type='tvtsv2_mm.AttentiveHead'))
optim_wrapper = dict(_delete_=True, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1))
