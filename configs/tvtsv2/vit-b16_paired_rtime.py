# python tools/test.py configs/tvtsv2/vit-b16_paired_rtime.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/paired_rtime.py']
model = _base_.protocol_model
