# A backbone of MMAction2 in the place of ours; its sizes and pixels are those of their own config.
model = dict(
    type='VideoTextModel',
    data_preprocessor=dict(type='VideoTextDataPreprocessor'),
    backbone=dict(
        type='OpenMMLabBackbone',
        config='mmaction::recognition/videomae/'
        'vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400.py',
        num_frames=16,
        image_size=224))
# What a config puts in the place of the release's first three steps: as many frames as the backbone
# reads, from the whole video.
openmmlab_frames = [
    dict(type='OpenVideo', short_side=224, interpolation='bilinear'),
    dict(type='SampleClipFrames', mode='middle', num_clips=1),
    dict(type='DecodeClip'),
]
