# python tools/probe_features.py extract configs/tvtsv2/openmmlab_linear-probe_hmdb51.py \
#     CHECKPOINT --out CACHE.npz
# Backbones of MMAction2 and mmpretrain in the protocol of ours, from their own configs and
# checkpoints; here VideoMAE. Another: --cfg-options model.backbone.num_frames=8 \
#     model.backbone.config=mmaction::recognition/uniformerv2/NAME.py
# (tools/train.py trains the head alone: model.cls_head.embed_dim is the backbone's width.)
_base_ = [
    '../_base_/models/openmmlab_videomae-b16.py', '../_base_/protocols/linear-probe_hmdb51.py'
]
model = _base_.protocol_model
model.cls_head.embed_dim = 768
test_dataloader = dict(
    dataset=dict(pipeline=[*_base_.openmmlab_frames, *_base_.test_dataloader.dataset.pipeline[3:]]))
val_dataloader = test_dataloader
train_dataloader = dict(
    dataset=dict(pipeline=[
        _base_.openmmlab_frames[0], dict(type='SampleClipFrames', mode='random'),
        _base_.openmmlab_frames[2], *_base_.train_dataloader.dataset.pipeline[3:]
    ]))
