# python tools/test.py configs/tvtsv2/vit-h_paired_test-of-time.py CHECKPOINT
_base_ = ['../_base_/models/tvtsv2_vit-h14.py', '../_base_/protocols/paired_test-of-time.py']
model = _base_.protocol_model
