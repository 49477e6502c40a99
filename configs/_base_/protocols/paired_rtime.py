# RTime-Binary, made by tools/data/rtime. A video and the same backwards.
_base_ = './paired.py'
benchmark = 'RTime-Binary'
data_root = 'data/rtime'
test_dataloader = dict(dataset=dict(data_root=data_root))
