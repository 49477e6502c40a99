# python tools/train.py configs/tvtsv2/vit-h_linear-probe_hmdb51.py \
#     --cfg-options load_from=CHECKPOINT
_base_ = [
    '../_base_/models/tvtsv2_vit-h14.py',
    '../_base_/datasets/hmdb51.py',
    '../_base_/protocols/linear-probe.py',
]
model = dict(
    backbone=dict(frozen=True),
    neck=None,
    contrastive_head=None,
    sorting_head=None,
    cls_head=dict(
        type='LinearProbeHead',
        num_classes=_base_.num_classes,
        embed_dim=_base_.model.backbone.embed_dim))
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.test_set)
test_dataloader = dict(dataset=_base_.test_set)
