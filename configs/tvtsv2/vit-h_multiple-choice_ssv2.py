# python tools/test.py configs/tvtsv2/vit-h_multiple-choice_ssv2.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-h14.py', '../_base_/protocols/multiple-choice_ssv2.py']
model = _base_.protocol_model
