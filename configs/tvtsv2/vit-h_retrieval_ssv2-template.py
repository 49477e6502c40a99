# python tools/test.py configs/tvtsv2/vit-h_retrieval_ssv2-template.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-h14.py', '../_base_/protocols/retrieval_ssv2-template.py']
model = _base_.protocol_model
