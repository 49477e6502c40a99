# MSVD, made by tools/data/msvd. All sentences of a clip.
_base_ = './retrieval.py'
benchmark = 'MSVD'
data_root = 'data/msvd'
test_dataloader = dict(dataset=dict(data_root=data_root))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank=f'{data_root}/annotations/train.jsonl')
