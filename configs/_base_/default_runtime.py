default_scope = 'tvtsv2_mm'

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    check_labels=dict(type='CheckLabelsHook'),
    cut_texts=dict(type='CutTextHook'),
    # docs/scale.md, "When something goes wrong": NaN and infinity; SIGTERM; lost ranks.
    non_finite_steps=dict(type='NonFiniteStepHook'),
    preemption=dict(type='PreemptionHook'),
    rank_watch=dict(type='RankWatchHook'))
custom_hooks = [dict(type='SkippedSampleHook', max_share=0.05), dict(type='ResumeDataHook')]

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl', timeout=1800))

log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)
# TensorBoard: vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)

log_level = 'INFO'
load_from = None
resume = False
