_base_ = ['./zero-shot.py', '../datasets/kinetics700.py']
protocol_model = dict(cls_head=dict(classes=_base_.classes))
test_dataloader = dict(dataset=_base_.test_set)
