# The linear probe of the baseline, on CLIP's own frames.
_base_ = ['../models/clip_vit-b16.py', './linear-probe.py']
protocol_model = dict(cls_head=dict(embed_dim=_base_.model.backbone.embed_dim))
test_dataloader = dict(
    dataset=dict(pipeline=[*_base_.clip_frames, *_base_.test_dataloader.dataset.pipeline[3:]]))
val_dataloader = test_dataloader
train_pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(
    dataset=dict(pipeline=[
        _base_.clip_frames[0], train_pipeline[1], _base_.clip_frames[2], *train_pipeline[3:]
    ]))
