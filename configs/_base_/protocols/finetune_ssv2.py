_base_ = ['./finetune.py', '../datasets/ssv2.py']
protocol_model = dict(
    data_preprocessor=dict(
        blending=dict(
            augments=[dict(own, num_classes=_base_.num_classes) for own in _base_.blends])),
    cls_head=dict(num_classes=_base_.num_classes))
# No flip: to the left is another class than to the right.
train_dataloader = dict(
    dataset=dict(
        _base_.train_set, pipeline=[*_base_.train_transforms, _base_.erase, *_base_.pack_clip]))
val_dataloader = dict(dataset=_base_.test_set)
test_dataloader = dict(dataset=_base_.test_set)
