# MMAction2's CLIP4Clip with the SimpleMeanAdapter: CLIP on every frame, the mean of the embeddings
# as they are; pixels as in its config.
_base_ = './tvtsv2_vit-b32.py'
model = dict(
    data_preprocessor=dict(mean=[122.771, 116.746, 104.093], std=[68.500, 66.632, 70.323]),
    backbone=dict(type='FramewiseViT', average='embeddings'))
clip4clip_frames = [
    dict(type='OpenVideo', short_side=256, interpolation='bilinear'),
    dict(type='SampleClipFrames', num_frames=12, mode='middle', num_clips=1),
    dict(type='DecodeClip'),
]
