# python tools/test.py configs/tvtsv2/vit-b16_paired_vinoground.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/paired_vinoground.py']
model = _base_.protocol_model
