# Fine-tuning for recognition, with MMAction2's recognizer and transforms. The paper has none.
# What happens to CLIP's weights is after FT-CLIP (arXiv 2212.06138, its script for B/16 on images):
# AdamW, 6e-4 for 2048 samples, 0.6 from block to block, weight decay 0.05, running average 0.9998.
# What happens to the videos is after VideoMAE (arXiv 2203.12602, the defaults of its script):
# RandAugment, crops, erasing, mixup or cutmix, smoothed labels, drop path 0.1, 5 epochs of warm-up.
# To put the two together is ours.
_base_ = [
    '../datasets/recognizer_steps.py', './zero-shot-check.py', 'mmaction::_base_/default_runtime.py'
]
protocol = 'finetune'
blends = [dict(type='MixupBlending', alpha=0.8), dict(type='CutmixBlending', alpha=1.0)]
# What the protocol changes in the model of every size. A benchmark adds its classes, there too.
protocol_model = dict(
    data_preprocessor=dict(blending=dict(type='RandomBatchAugment')),
    backbone=dict(drop_path_rate=0.1, checkpointing=True),
    cls_head=dict(label_smooth_eps=0.1))

uniform = dict(type='UniformSample', clip_len=12)
train_transforms = [
    _base_.open_decord,
    uniform,
    _base_.decode_decord,
    dict(type='Resize', scale=(-1, 256)),
    # VideoMAE's 4 of strength 7, by torchvision: PytorchVideoWrapper needs one package more.
    dict(type='TorchVisionWrapper', op='RandAugment', num_ops=4, magnitude=7),
    *_base_.random_crop,
]
erase = dict(type='RandomErasing', erase_prob=0.25, mode='rand')

train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='tvtsv2_mm.SeededSampler', shuffle=True),
    dataset=dict(pipeline=[*train_transforms, _base_.flip, erase, *_base_.pack_clip]))
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        test_mode=True,
        pipeline=[
            _base_.open_decord,
            dict(uniform, test_mode=True), _base_.decode_decord, *_base_.center_crop,
            *_base_.pack_clip
        ]))
# 4 clips of 3 crops, as X-CLIP (arXiv 2208.02816) tests CLIP on Kinetics-400.
test_dataloader = dict(
    val_dataloader,
    batch_size=1,
    dataset=dict(
        test_mode=True,
        pipeline=[
            _base_.open_decord,
            dict(uniform, num_clips=4, test_mode=True), _base_.decode_decord,
            *_base_.three_crops, *_base_.pack_clip
        ]))
# In per cent, as all result files: AccMetric's shares would be read as such.
val_evaluator = dict(type='tvtsv2_mm.TopKAccuracy')
test_evaluator = val_evaluator

# 30 epochs: X-CLIP's of CLIP on Kinetics-400, VideoMAE's on Something-Something V2.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='tvtsv2_mm.TrainableParamsConstructor',
    optimizer=dict(
        type='AdamW', fused=True, lr=6e-4 * 128 / 2048, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(layer_decay_rate=0.6))
warm_up = dict(
    type='LinearLR', start_factor=1e-3, by_epoch=True, end=5, convert_to_iter_based=True)
cosine = dict(
    type='CosineAnnealingLR', by_epoch=True, begin=5, end=30, convert_to_iter_based=True)
param_scheduler = [warm_up, cosine]
# 8 GPUs x 16 clips; `--auto-scale-lr` scales from here.
auto_scale_lr = dict(enable=False, base_batch_size=128)

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3),
    check_clips=dict(type='tvtsv2_mm.CheckClipsHook'),
    check_labels=dict(type='tvtsv2_mm.CheckLabelsHook'),
    resume_data=dict(type='tvtsv2_mm.ResumeDataHook'),
    non_finite_steps=dict(type='tvtsv2_mm.NonFiniteStepHook'),
    preemption=dict(type='tvtsv2_mm.PreemptionHook'),
    rank_watch=dict(type='tvtsv2_mm.RankWatchHook'),
    weights=dict(type='tvtsv2_mm.RecognizerWeightsHook'),
    result_file=dict(type='tvtsv2_mm.ResultFileHook'),
    zero_shot_check=_base_.zero_shot_check)
running_average = dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=2e-4)
custom_hooks = [running_average]
