# python tools/test.py configs/tvtsv2/vit-b32_retrieval_msrvtt.py CHECKPOINT
_base_ = [
    '../_base_/models/tvtsv2_vit-b32.py',
    '../_base_/datasets/msrvtt.py',
    '../_base_/protocols/retrieval.py',
]
model = dict(sorting_head=None)
test_dataloader = dict(dataset=_base_.test_set)
test_evaluator = dict(query_bank=_base_.query_bank)
