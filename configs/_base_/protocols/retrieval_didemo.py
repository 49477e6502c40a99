# DiDeMo, made by tools/data/didemo. All sentences of a video as one text.
_base_ = './retrieval.py'
benchmark = 'DiDeMo'
test_dataloader = dict(dataset=dict(data_root='data/didemo'))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank='data/didemo/annotations/train.jsonl')
