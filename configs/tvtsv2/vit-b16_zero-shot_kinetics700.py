# python tools/test.py configs/tvtsv2/vit-b16_zero-shot_kinetics700.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/zero-shot_kinetics700.py']
model = _base_.protocol_model
