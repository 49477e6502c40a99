# python tools/train.py configs/mmaction2/tiny_attentive-head.py
# A learned query over the projected patches, and a linear layer.
_base_ = './tiny_timesformer-head.py'
model = dict(backbone=dict(output='map'), cls_head=dict(type='tvtsv2_mm.AttentiveHead'))
optim_wrapper = dict(_delete_=True, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1))
