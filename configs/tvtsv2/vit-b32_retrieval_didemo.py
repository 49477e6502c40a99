# python tools/test.py configs/tvtsv2/vit-b32_retrieval_didemo.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-b32.py', '../_base_/protocols/retrieval_didemo.py']
model = _base_.protocol_model
