# Our video encoder in MMAction2's recognizer: its embedding of the clip, and a linear layer. A head
# that pools (I3DHead, AttentiveHead) takes output='map'. Sizes and pixels are those of a
# tvtsv2_*.py: see recognizer_vit-b16.py, and so for another size.
custom_imports = dict(imports='tvtsv2_mm')  # for programs that do not know this package
recognizer = dict(
    _delete_=True,  # nothing of a VideoTextModel but these parts
    type='Recognizer3D',
    data_preprocessor=dict(type='ActionDataPreprocessor', format_shape='NCTHW'),
    backbone=dict(type='tvtsv2_mm.SpaceTimeViT', output='embedding'),
    cls_head=dict(type='TimeSformerHead', average_clips='prob'))
