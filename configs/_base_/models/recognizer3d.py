# Our video encoder in MMAction2's recognizer: its embedding of the clip, and a linear layer. Sizes
# and pixels are those of a tvtsv2_*.py: see vit-b16_finetune_hmdb51.py.
protocol_model = dict(
    _delete_=True,  # nothing of a VideoTextModel but these parts
    type='Recognizer3D',
    data_preprocessor=dict(type='ActionDataPreprocessor', format_shape='NCTHW'),
    backbone=dict(type='tvtsv2_mm.SpaceTimeViT', output='embedding'),
    cls_head=dict(type='TimeSformerHead', average_clips='prob'))
