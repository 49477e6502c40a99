# MSR-VTT 1k-A, made by tools/data/msrvtt.
_base_ = './retrieval.py'
benchmark = 'MSR-VTT 1k-A'
test_dataloader = dict(dataset=dict(data_root='data/msrvtt'))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank='data/msrvtt/annotations/train.jsonl')
