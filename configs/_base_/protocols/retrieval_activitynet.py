# ActivityNet, made by tools/data/activitynet. All sentences of a video as one text.
_base_ = './retrieval.py'
benchmark = 'ActivityNet'
data_root = 'data/activitynet'
test_dataloader = dict(dataset=dict(data_root=data_root))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank=f'{data_root}/annotations/train.jsonl')
