# python tools/test.py configs/tvtsv2/clip-b16_retrieval_didemo.py CHECKPOINT
_base_ = [
    '../_base_/models/clip_vit-b16.py',
    '../_base_/datasets/didemo.py',
    '../_base_/protocols/retrieval.py',
]
model = dict(sorting_head=None)
test_dataloader = dict(dataset=_base_.test_set)
test_evaluator = dict(query_bank=_base_.query_bank)
