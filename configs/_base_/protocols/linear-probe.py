# One linear layer on the frozen video encoder. The paper gives no schedule: this one is ours.
_base_ = './zero-shot.py'
protocol = 'linear-probe'
protocol_model = dict(
    _delete_=True,
    backbone=dict(frozen=True),
    neck=None,
    contrastive_head=None,
    sorting_head=None,
    cls_head=dict(type='LinearProbeHead'))

train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        pipeline=[
            dict(type='OpenVideo', short_side=268, interpolation='nearest'),
            dict(type='SampleClipFrames', num_frames=12, mode='random'),
            dict(type='DecodeClip', short_clip='black'),
            dict(type='CropClip', size=224, mode='random'),
            dict(type='PackVideoText'),
        ]))
val_dataloader = _base_.test_dataloader
val_evaluator = _base_.test_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=20)
val_cfg = dict(type='ValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.0))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=20)]
custom_hooks = [dict(type='SkippedSampleHook', max_share=0.05), dict(type='ResultFileHook')]
