# python tools/train.py configs/mmaction2/vit-b16_attentive-head_kinetics400.py \
#     --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
# A learned query over the projected patches of the frozen encoder, and a linear layer.
_base_ = './vit-b16_timesformer-head_kinetics400.py'
model = dict(backbone=dict(output='map'), cls_head=dict(type='tvtsv2_mm.AttentiveHead'))
optim_wrapper = dict(_delete_=True, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1))
