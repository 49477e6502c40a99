# python tools/test.py configs/tvtsv2/tiny_multiple-choice.py CHECKPOINT
# Two events in a row and two captions that differ in the order alone (before, after, and then).
_base_ = [
    '../_base_/models/tvtsv2_tiny.py', '../_base_/datasets/narrated_shapes.py',
    '../_base_/default_runtime.py'
]
model = dict(sorting_head=None)
test_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(_base_.captions_test, ann_file='annotations/orders_test.jsonl'))
test_evaluator = dict(type='MultipleChoiceAccuracy')
test_cfg = dict(type='TestLoop')
