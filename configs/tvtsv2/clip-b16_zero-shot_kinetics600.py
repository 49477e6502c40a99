# python tools/test.py configs/tvtsv2/clip-b16_zero-shot_kinetics600.py CHECKPOINT
_base_ = ['../_base_/models/clip_vit-b16.py', '../_base_/protocols/zero-shot_kinetics600.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[*_base_.clip_frames, *_base_.test_dataloader.dataset.pipeline[3:]]))
