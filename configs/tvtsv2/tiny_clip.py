# python tools/train.py configs/tvtsv2/tiny_clip.py
# A tiny CLIP that plays CLIP's part in the quickstart: single frames, one caption each.
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/datasets/narrated_shapes.py',
    '../_base_/default_runtime.py'
]
model = dict(
    backbone=dict(type='FramewiseViT'), neck=dict(frozen_layers=0), sorting_head=None)

single_frame = dict(type='SampleClipFrames', num_frames=1, mode='random')
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=True,
    dataset=dict(
        type='RepeatDataset',
        times=10,
        dataset=dict(
            _base_.pictures_train,
            pipeline=[
                _base_.open_cached, single_frame, _base_.decode, _base_.tokenize, _base_.pack
            ])))

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=16)
# The 768 inputs of a patch are nearly equal here, so one step of Adam moves conv1's output by
# hundreds of times the rate: left alone, colours drown the positions, and motion with them.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(
        type='AdamW', fused=True, lr=2e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.05),
    paramwise_cfg=dict(lr_mult={'conv1': 0.05, 'positional_embedding': 5.0}))
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50)]

default_hooks = dict(
    logger=dict(interval=40), checkpoint=dict(interval=4, max_keep_ckpts=1))
