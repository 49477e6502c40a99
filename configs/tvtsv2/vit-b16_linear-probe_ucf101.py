# python tools/train.py configs/tvtsv2/vit-b16_linear-probe_ucf101.py \
#     --cfg-options load_from=CHECKPOINT
_base_ = [
    '../_base_/models/tvtsv2_vit-b16.py',
    '../_base_/datasets/ucf101.py',
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
