# Two epochs of four steps (sorting, captions in turn) on two ranks.
_base_ = [
    '../../../configs/_base_/default_runtime.py',
    '../../../configs/_base_/strategies/fully_shard.py',
]
custom_imports = dict(imports='tests.test_engine.test_strategies.random_parts')
strategy = dict(mixed_precision=dict(param_dtype='float32'))
model = dict(
    type='VideoTextModel',
    data_preprocessor=dict(type='VideoTextDataPreprocessor'),
    backbone=dict(
        type='SpaceTimeViT', image_size=32, patch_size=8, width=48, layers=2, heads=3,
        embed_dim=32, num_frames=6, time_init='proj'),
    neck=dict(
        type='PartiallyFrozenTextEncoder', width=32, layers=2, heads=2, embed_dim=32,
        frozen_layers=1, vocab_size=64, context_length=12),
    contrastive_head=dict(type='VideoTextContrastiveHead'),
    sorting_head=dict(type='TranscriptSortingHead', embed_dim=32, num_transcripts=3, heads=4))
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratios=(1, 1)),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(type='RandomClipsOfStrategyTest', size=8, texts=3),
            dict(type='RandomClipsOfStrategyTest', size=8, texts=1, seed=1),
        ]))
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='RandomClipsOfStrategyTest', size=6, texts=1, seed=2))
val_evaluator = dict(type='RetrievalMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    clip_grad=dict(max_norm=1.0),
    # eps as in the recipe: the gradient of the keys' biases is nothing but rounding, which Adam
    # with less of it blows up to whole steps.
    optimizer=dict(type='AdamW', lr=1e-3, eps=1e-6, weight_decay=0.05),
    paramwise_cfg=dict(lr_mult={'timeattn': 3.0}))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.5)]
auto_scale_lr = dict(enable=False, base_batch_size=4)
custom_hooks = [
    dict(type='SkippedSampleHook'), dict(type='ResumeDataHook'),
    dict(type='LossesOfStrategyTest'),
]
randomness = dict(seed=3)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2, max_keep_ckpts=-1))
