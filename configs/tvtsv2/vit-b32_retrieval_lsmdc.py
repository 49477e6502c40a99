# python tools/test.py configs/tvtsv2/vit-b32_retrieval_lsmdc.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-b32.py', '../_base_/protocols/retrieval_lsmdc.py']
model = _base_.protocol_model
