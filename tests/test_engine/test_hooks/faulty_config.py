# Six steps of two samples, on two ranks three each; with the hooks of every run.
_base_ = ['../../../configs/_base_/default_runtime.py']
custom_imports = dict(imports='tests.test_engine.test_hooks.faults')
model = dict(type='NamedModelOfFaults')
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(type='NamedDatasetOfFaults', size=12),
    collate_fn=dict(type='collate_named'))
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.1))
randomness = dict(seed=1)
custom_hooks = []
default_hooks = dict(
    check_labels=None, cut_texts=None, resume_data=dict(type='ResumeDataHook'))
