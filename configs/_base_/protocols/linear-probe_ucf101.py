_base_ = ['./linear-probe.py', '../datasets/ucf101.py']
protocol_model = dict(cls_head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.test_set)
test_dataloader = dict(dataset=_base_.test_set)
