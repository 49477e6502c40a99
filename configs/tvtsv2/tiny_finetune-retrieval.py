# python tools/train.py configs/tvtsv2/tiny_finetune-retrieval.py \
#     --cfg-options load_from=CHECKPOINT
# On a CPU, on the embedded data: captions found among 108 videos, and how much of the zero-shot
# recognition of six motions is left.
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/datasets/narrated_shapes.py',
    '../_base_/schedules/finetune-retrieval_10e.py', '../_base_/default_runtime.py'
]
model = dict(sorting_head=None)
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(_base_.captions_train, pipeline=[
        _base_.open_cached, _base_.random_frames, _base_.decode, _base_.tokenize, _base_.pack
    ]))
val_dataloader = dict(
    batch_size=54,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=_base_.captions_test)
val_evaluator = dict(type='RetrievalMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict(type='TestLoop')

# As in tiny_pretrain.py, a tenth of it.
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(
        _delete_=True,
        lr_mult={'conv1': 0.05, 'positional_embedding': 5.0, 'temporal_embedding': 5.0}))
default_hooks = dict(
    _base_.best_retrieval,
    zero_shot_check=_base_.motions_check)
