# RTime-Hard, made by tools/data/rtime. All videos and the same backwards.
_base_ = './retrieval.py'
benchmark = 'RTime-Hard'
data_root = 'data/rtime'
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/hard.jsonl'))
