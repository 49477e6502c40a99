# VATEX, made by tools/data/vatex. The English sentences; HGR's split.
_base_ = './retrieval.py'
benchmark = 'VATEX'
data_root = 'data/vatex'
test_dataloader = dict(dataset=dict(data_root=data_root))
# Captions of training videos, for QB-Norm.
test_evaluator = dict(query_bank=f'{data_root}/annotations/train.jsonl')
