# PE-core on every frame, averaged, as a peer: pixels squeezed to a square, as it was trained. Its
# own benchmark takes the mean of the embeddings as they are: model.backbone.average=embeddings
_base_ = './pe_b16.py'
model = dict(backbone=dict(type='FramewiseViT'))
pe_frames = [
    dict(type='OpenVideo', short_side=224, interpolation='bilinear', keep_ratio=False),
    dict(type='SampleClipFrames', num_frames=12, mode='middle', num_clips=1),
    dict(type='DecodeClip'),
]
