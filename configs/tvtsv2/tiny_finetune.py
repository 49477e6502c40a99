# python tools/train.py configs/tvtsv2/tiny_finetune.py --cfg-options load_from=CHECKPOINT
# MMAction2's Recognizer3D and transforms on the embedded data: six motions. Without load_from it
# starts from random weights.
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/models/recognizer3d.py',
    '../_base_/datasets/narrated_shapes.py', 'mmaction::_base_/default_runtime.py'
]
model = _base_.protocol_model
model.backbone = dict(_base_.model.backbone, **model.backbone)
model.data_preprocessor = dict(_base_.model.data_preprocessor, **model.data_preprocessor)
model.cls_head.in_channels = _base_.model.backbone.embed_dim
model.cls_head.update(num_classes=6, topk=(1, ))

read = [dict(type='DecordInit'), dict(type='UniformSample', clip_len=8), dict(type='DecordDecode')]
pack_clip = [dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
train_dataloader = dict(
    batch_size=12,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(_base_.motions_train, pipeline=[*read, *pack_clip]))
val_dataloader = dict(
    batch_size=54,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _base_.motions_test,
        pipeline=[read[0], dict(read[1], test_mode=True), read[2], *pack_clip]))
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator

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
    check_labels=dict(type='tvtsv2_mm.CheckLabelsHook'),
    weights=dict(type='tvtsv2_mm.RecognizerWeightsHook'))
