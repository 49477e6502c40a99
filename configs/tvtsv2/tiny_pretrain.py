# python tools/train.py configs/tvtsv2/tiny_pretrain.py --cfg-options load_from=TINY_CLIP.pth
# TVTSv2 on the embedded data: two batches of transcripts (contrast and sorting), one of captions
# (contrast), and so on.
# Without load_from it starts from random weights.
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/datasets/narrated_shapes.py',
    '../_base_/default_runtime.py'
]
# Time attention with a gradient from the start (see SpaceTimeViT), and positions in time as large
# as what they are added to: else sorting does not begin for long.
model = dict(backbone=dict(time_init='proj', temporal_std=0.4))

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratios=(2, 1)),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(type='RepeatDataset', times=10, dataset=_base_.transcripts_train),
            dict(type='RepeatDataset', times=10, dataset=_base_.captions_train),
        ]))
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=_base_.transcripts_val)
val_evaluator = dict(type='SortingAccuracy')
test_dataloader = val_dataloader
test_evaluator = val_evaluator

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# One rate for what comes from the tiny CLIP and what is new: it has less to lose than a real one
# (compare pretrain_10e.py).
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(
        type='AdamW', fused=True, lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.05),
    # conv1: see tiny_clip.py.
    paramwise_cfg=dict(
        lr_mult={'conv1': 0.05, 'positional_embedding': 5.0, 'temporal_embedding': 5.0}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='MultiStepLR', by_epoch=True, milestones=[6], gamma=0.2),
]

default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=2, max_keep_ckpts=1))
