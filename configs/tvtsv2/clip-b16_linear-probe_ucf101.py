# python tools/train.py configs/tvtsv2/clip-b16_linear-probe_ucf101.py \
#     --cfg-options load_from=CHECKPOINT
_base_ = ['../_base_/protocols/linear-probe_clip-b16.py', '../_base_/datasets/ucf101.py']
model = _base_.protocol_model
model.cls_head.num_classes = _base_.num_classes
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.test_set)
test_dataloader = dict(dataset=_base_.test_set)
