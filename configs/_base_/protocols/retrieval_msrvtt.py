# MSR-VTT 1k-A, made by tools/data/msrvtt.
_base_ = './retrieval.py'
benchmark = 'MSR-VTT 1k-A'
data_root = 'data/msrvtt'
test_dataloader = dict(dataset=dict(data_root=data_root))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank=f'{data_root}/annotations/train.jsonl')
