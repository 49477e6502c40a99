# python tools/test.py configs/tvtsv2/clip-b16_multiple-choice_ssv2.py CHECKPOINT
_base_ = ['../_base_/models/clip_vit-b16.py', '../_base_/protocols/multiple-choice_ssv2.py']
model = _base_.protocol_model
