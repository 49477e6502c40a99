# Vinoground, made by tools/data/vinoground. 500 pairs of videos, the captions in opposite orders.
_base_ = './paired.py'
benchmark = 'Vinoground'
data_root = 'data/vinoground'
test_dataloader = dict(dataset=dict(data_root=data_root))
