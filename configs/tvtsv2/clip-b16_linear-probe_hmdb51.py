# python tools/train.py configs/tvtsv2/clip-b16_linear-probe_hmdb51.py \
#     --cfg-options load_from=CHECKPOINT
_base_ = ['../_base_/models/clip_vit-b16.py', '../_base_/protocols/linear-probe_hmdb51.py']
model = _base_.protocol_model
model.cls_head.embed_dim = _base_.model.backbone.embed_dim
