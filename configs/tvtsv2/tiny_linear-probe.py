# python tools/train.py configs/tvtsv2/tiny_linear-probe.py --cfg-options load_from=CHECKPOINT
# One linear layer on the frozen video encoder tells six motions.
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/datasets/narrated_shapes.py',
    '../_base_/default_runtime.py'
]
model = dict(
    backbone=dict(frozen=True),
    neck=None,
    contrastive_head=None,
    sorting_head=None,
    cls_head=dict(type='LinearProbeHead', num_classes=6, embed_dim=64))

train_dataloader = dict(
    batch_size=54,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=_base_.motions_train)
val_dataloader = dict(
    batch_size=54,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=_base_.motions_test)
val_evaluator = dict(type='TopKAccuracy', topk=(1, ))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=20)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.0))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=20)]
