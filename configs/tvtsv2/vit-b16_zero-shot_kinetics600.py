# python tools/test.py configs/tvtsv2/vit-b16_zero-shot_kinetics600.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/zero-shot_kinetics600.py']
model = _base_.protocol_model
