# SSv2-MC, made by tools/data/ssv2_mc. Each video with its candidate sentences and the answer.
_base_ = './multiple-choice.py'
benchmark = 'SSv2-MC'
data_root = 'data/ssv2_mc'
test_dataloader = dict(dataset=dict(data_root=data_root))
