# 3570 videos: 50 epochs as X-CLIP's config for few videos of HMDB51 (arXiv 2208.02816), more drop
# path, and dropout, as VideoMAE on UCF101. The running average, of about 4 epochs, is ours.
_base_ = ['./finetune.py', '../datasets/hmdb51.py']
protocol_model = dict(
    data_preprocessor=dict(
        blending=dict(
            augments=[dict(own, num_classes=_base_.num_classes) for own in _base_.blends])),
    backbone=dict(drop_path_rate=0.2),
    cls_head=dict(num_classes=_base_.num_classes, dropout_ratio=0.5))
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.test_set)
test_dataloader = dict(dataset=_base_.test_set)

train_cfg = dict(max_epochs=50)
param_scheduler = [_base_.warm_up, dict(_base_.cosine, end=50)]
# HMDB51 is what is trained on.
default_hooks = dict(
    zero_shot_check=dict(
        benchmark='UCF101',
        cls_head=dict(classes='data/ucf101/classes.txt'),
        dataloader=dict(dataset=dict(data_root='data/ucf101'))))
custom_hooks = [dict(_base_.running_average, momentum=1e-2)]
