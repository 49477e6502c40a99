_base_ = ['./finetune.py', '../datasets/kinetics400.py']
protocol_model = dict(
    data_preprocessor=dict(
        blending=dict(augments=[
            dict(_base_.mixup, num_classes=_base_.num_classes),
            dict(_base_.cutmix, num_classes=_base_.num_classes),
        ])),
    cls_head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.test_set)
test_dataloader = dict(dataset=_base_.test_set)
