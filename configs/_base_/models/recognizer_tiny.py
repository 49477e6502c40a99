# For CPUs: the encoder of tvtsv2_tiny.py, all of it trained, from random weights or by
# --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = './recognizer_vit-b16.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='tvtsv2_mm.SpaceTimeViT',
        output='embedding',
        image_size=64, patch_size=16, width=96, layers=3, heads=3, embed_dim=64, num_frames=8),
    cls_head=dict(num_classes=6, in_channels=64))
