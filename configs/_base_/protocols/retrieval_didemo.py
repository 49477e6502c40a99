# DiDeMo, made by tools/data/didemo. All sentences of a video as one text.
_base_ = './retrieval.py'
benchmark = 'DiDeMo'
data_root = 'data/didemo'
test_dataloader = dict(dataset=dict(data_root=data_root))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank=f'{data_root}/annotations/train.jsonl')
