# python tools/test.py configs/tvtsv2/vit-b16_zero-shot_kinetics400.py CHECKPOINT
_base_ = [
    '../_base_/models/tvtsv2_vit-b16.py',
    '../_base_/datasets/kinetics400.py',
    '../_base_/protocols/zero-shot.py',
]
model = dict(sorting_head=None, cls_head=dict(_base_.zero_shot_head, classes=_base_.classes))
test_dataloader = dict(dataset=_base_.test_set)
