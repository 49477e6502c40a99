# python tools/train.py configs/tvtsv2/clip-b16_linear-probe_ucf101.py \
#     --cfg-options load_from=CHECKPOINT
_base_ = ['../_base_/models/clip_vit-b16.py', '../_base_/protocols/linear-probe_ucf101.py']
model = _base_.protocol_model
model.cls_head.embed_dim = _base_.model.backbone.embed_dim
test_dataloader = dict(
    dataset=dict(pipeline=[*_base_.clip_frames, *_base_.test_dataloader.dataset.pipeline[3:]]))
val_dataloader = test_dataloader
train_pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(
    dataset=dict(pipeline=[
        _base_.clip_frames[0], train_pipeline[1], _base_.clip_frames[2], *train_pipeline[3:]
    ]))
