# A folder of own videos, any layout, with their annotations beside them. For models of every size:
# frames, crop, context and patches are left out here and come from the model.
benchmark = 'own data'
data_root = 'data/own/videos'
# A tenth of the videos is never trained on, told by the names.
held_out_share = 0.1

segments = dict(
    type='SampleTranscriptSegments', num_segments=4, segment_seconds=(3, 5), gap_seconds=1.0)
pack = dict(type='PackVideoText')
random_clip = [
    dict(type='OpenVideo', interpolation='nearest', isolate=True),
    dict(type='SampleClipFrames', mode='random'),
    dict(type='DecodeClip', short_clip='black'),
    dict(type='CropClip', mode='random'),
    dict(type='TokenizeText'),
]
middle_frames = [
    dict(type='OpenVideo', interpolation='nearest'),
    dict(type='SampleClipFrames', mode='middle', num_clips=1),
    dict(type='DecodeClip', short_clip='black'),
    dict(type='CropClip', mode='center'),
]
middle_clip = [*middle_frames, dict(type='TokenizeText'), pack]
train_loader = dict(
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratios=None, shrink=True))
held_out_loader = dict(
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False))
# Own videos are few, and some will not do: all of these are told at the end of each epoch.
own_data_hooks = [
    dict(type='SkippedSampleHook', max_share=0.5), dict(type='ResumeDataHook'),
    dict(type='ResultFileHook')
]
