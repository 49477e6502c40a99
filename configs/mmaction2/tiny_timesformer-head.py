# python tools/train.py configs/mmaction2/tiny_timesformer-head.py
# A linear layer on the clip's embedding. Six motions, on a CPU; the encoder is trained too, from
# random weights or by --cfg-options model.backbone.init_cfg.type=Pretrained
# model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    'mmaction::_base_/default_runtime.py', 'mmaction::_base_/schedules/sgd_50e.py',
    '../_base_/models/recognizer_tiny.py', '../_base_/datasets/narrated_shapes_recognizer.py'
]
model = dict(cls_head=dict(num_classes=6))
default_hooks = dict(
    check_clips=dict(type='tvtsv2_mm.CheckClipsHook'),
    resume_data=dict(type='tvtsv2_mm.ResumeDataHook'),
    weights=dict(type='tvtsv2_mm.RecognizerWeightsHook'))
