# LSMDC, made by tools/data/lsmdc.
_base_ = './retrieval.py'
benchmark = 'LSMDC'
test_dataloader = dict(dataset=dict(data_root='data/lsmdc'))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank='data/lsmdc/annotations/train.jsonl')
