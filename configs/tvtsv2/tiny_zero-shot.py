# python tools/test.py configs/tvtsv2/tiny_zero-shot.py CHECKPOINT
# Zero-shot recognition of six motions; three pairs that differ in the direction of time alone.
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/datasets/narrated_shapes.py',
    '../_base_/default_runtime.py'
]
model = dict(sorting_head=None, cls_head=dict(_base_.motions_in_words, context_length=32))
test_dataloader = dict(
    batch_size=54,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=_base_.motions_test)
test_evaluator = dict(type='TopKAccuracy', topk=(1, ))
test_cfg = dict(type='TestLoop')
