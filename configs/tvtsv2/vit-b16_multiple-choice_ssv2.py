# python tools/test.py configs/tvtsv2/vit-b16_multiple-choice_ssv2.py CHECKPOINT
_base_ = [
    '../_base_/models/tvtsv2_vit-b16.py',
    '../_base_/datasets/ssv2_mc.py',
    '../_base_/protocols/multiple-choice.py',
]
model = dict(sorting_head=None)
test_dataloader = dict(dataset=_base_.test_set)
