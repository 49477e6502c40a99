_base_ = ['./finetune.py', '../datasets/kinetics400.py']
protocol_model = dict(
    data_preprocessor=dict(
        blending=dict(
            augments=[dict(own, num_classes=_base_.num_classes) for own in _base_.blends])),
    cls_head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.test_set)
test_dataloader = dict(dataset=_base_.test_set)
