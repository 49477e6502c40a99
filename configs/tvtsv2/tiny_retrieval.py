# python tools/test.py configs/tvtsv2/tiny_retrieval.py CHECKPOINT
# 108 videos, one of each colour, shape and motion, with three captions each; both ways.
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/datasets/narrated_shapes.py',
    '../_base_/default_runtime.py'
]
model = dict(sorting_head=None)
test_dataloader = dict(
    batch_size=54,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=_base_.captions_test)
test_evaluator = dict(type='RetrievalMetric', dsl=True)
test_cfg = dict(type='TestLoop')
