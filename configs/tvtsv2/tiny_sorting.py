# python tools/test.py configs/tvtsv2/tiny_sorting.py CHECKPOINT
# Four transcripts of a held-out video back in order.
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/datasets/narrated_shapes.py',
    '../_base_/default_runtime.py'
]
test_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=_base_.transcripts_val)
test_evaluator = dict(type='SortingAccuracy')
test_cfg = dict(type='TestLoop')
