# python tools/train.py configs/tvtsv2/tiny_finetune.py --cfg-options load_from=CHECKPOINT
# MMAction2's Recognizer3D and transforms on the embedded data: six motions. Without load_from it
# starts from random weights, and without the zero-shot test before and after.
_base_ = [
    '../_base_/models/recognizer_tiny.py', '../_base_/datasets/narrated_shapes_recognizer.py',
    'mmaction::_base_/default_runtime.py'
]
model = dict(cls_head=dict(num_classes=6, topk=(1, )))
train_dataloader = dict(batch_size=12)
test_dataloader = _base_.val_dataloader

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='tvtsv2_mm.TrainableParamsConstructor',
    optimizer=dict(type='AdamW', fused=True, lr=1e-3, weight_decay=0.05),
    # conv1: see tiny_clip.py.
    paramwise_cfg=dict(lr_mult={'conv1': 0.05}, layer_decay_rate=0.75))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=10),
    dict(type='CosineAnnealingLR', by_epoch=True, end=2, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=12)

default_hooks = dict(
    logger=dict(interval=15),
    checkpoint=dict(max_keep_ckpts=1),
    check_clips=dict(type='tvtsv2_mm.CheckClipsHook'),
    check_labels=dict(type='tvtsv2_mm.CheckLabelsHook'),
    resume_data=dict(type='tvtsv2_mm.ResumeDataHook'),
    weights=dict(type='tvtsv2_mm.RecognizerWeightsHook'),
    # Its text encoder is that of load_from, which tools/train.py puts here.
    zero_shot_check=dict(
        _base_.motions_check, model=_base_.video_text_model, checkpoint=None))
