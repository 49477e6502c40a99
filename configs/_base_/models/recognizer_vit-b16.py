# The video encoder in MMAction2's Recognizer3D. A head that pools (I3DHead, AttentiveHead) takes
# output='map'.
custom_imports = dict(imports='tvtsv2_mm')  # for programs that do not know this package
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='tvtsv2_mm.SpaceTimeViT',
        output='embedding',
        frozen=True,
        init_cfg=dict(type='Pretrained', checkpoint='data/tvtsv2/TVTSv2_ViT_B_16.pth')),
    cls_head=dict(
        type='TimeSformerHead', num_classes=400, in_channels=512, average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        # ImageNet's, as in the release; not CLIP's.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW'))
