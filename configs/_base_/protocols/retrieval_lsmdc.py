# LSMDC, made by tools/data/lsmdc.
_base_ = './retrieval.py'
benchmark = 'LSMDC'
data_root = 'data/lsmdc'
test_dataloader = dict(dataset=dict(data_root=data_root))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank=f'{data_root}/annotations/train.jsonl')
