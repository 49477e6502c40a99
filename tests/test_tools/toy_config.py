custom_imports = dict(imports='tests.test_tools.toy_parts')
default_scope = 'tvtsv2_mm'
model = dict(type='ToyModel')
train_dataloader = dict(
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyDataset'),
    collate_fn=dict(type='default_collate'))
val_dataloader = test_dataloader = dict(
    batch_size=3,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyDataset', size=7),
    collate_fn=dict(type='default_collate'))
val_evaluator = test_evaluator = dict(type='ToyMetric')
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.1))
auto_scale_lr = dict(enable=False, base_batch_size=4)
randomness = dict(seed=1, diff_rank_seed=True)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
