# python tools/test.py configs/tvtsv2/vit-h_retrieval_msvd.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-h14.py', '../_base_/protocols/retrieval_msvd.py']
model = _base_.protocol_model
