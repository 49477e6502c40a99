# python tools/test.py configs/tvtsv2/vit-h_zero-shot_kinetics700.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-h14.py', '../_base_/protocols/zero-shot_kinetics700.py']
model = _base_.protocol_model
