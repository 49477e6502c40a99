# python tools/train.py configs/mmaction2/vit-b16_timesformer-head_kinetics400.py \
#     --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
# A linear layer on the clip's embedding. The encoder is frozen (model.backbone.frozen).
_base_ = [
    'mmaction::_base_/default_runtime.py', 'mmaction::_base_/schedules/sgd_50e.py',
    '../_base_/models/recognizer_vit-b16.py', '../_base_/datasets/kinetics400_recognizer.py'
]
model = dict(
    backbone=dict(
        frozen=True,
        init_cfg=dict(type='Pretrained', checkpoint='tvtsv2-b16')),
    cls_head=dict(num_classes=_base_.num_classes))
default_hooks = dict(
    check_clips=dict(type='tvtsv2_mm.CheckClipsHook'),
    resume_data=dict(type='tvtsv2_mm.ResumeDataHook'),
    weights=dict(type='tvtsv2_mm.RecognizerWeightsHook'))
