# The release's recipe: what comes from CLIP at 1e-7, what is new in time and the sorting head at
# 1e-4; both times 0.1 after epochs 6 and 8.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(
        type='AdamW', fused=True, lr=1e-7, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.05),
    paramwise_cfg=dict(lr_mult={'timeattn': 1e3, 'ln_3': 1e3, 'sorting_head': 1e3}))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[6, 8], gamma=0.1)]

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# 80 GPUs x 12 clips, the paper's largest run; `--auto-scale-lr` scales from here.
auto_scale_lr = dict(enable=False, base_batch_size=960)
