# The recipe of CLIP4Clip (arXiv 2104.08860, and its code): what came from CLIP at 1e-7 with AdamW,
# decay 0.2, gradients clipped to 1, batches of 128, cosine after a tenth for warming up. There new
# layers have 1e-4; here time attention has, which is TVTSv2's rate for it (pretrain_10e.py).
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(
        type='AdamW', fused=True, lr=1e-7, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2),
    paramwise_cfg=dict(lr_mult={'timeattn': 1e3, 'ln_3': 1e3}),
    clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=9, begin=1, end=10, convert_to_iter_based=True),
]

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=1)
val_cfg = dict(type='ValLoop')
# For default_hooks: the best weights are kept, and three epochs without better ones end the run.
best_retrieval = dict(
    checkpoint=dict(save_best='t2v/R1', rule='greater', max_keep_ckpts=1),
    early_stopping=dict(
        type='EarlyStoppingHook', monitor='t2v/R1', rule='greater', patience=3, strict=True))

# `--auto-scale-lr` scales from here.
auto_scale_lr = dict(enable=False, base_batch_size=128)
