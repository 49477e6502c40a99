# YT-Temporal-180M (4 transcripts a clip) and WebVid-2.5M (one caption), alternating batch by batch.
# tools/data/README.md says how the annotation files are made.
clip_transforms = [
    dict(type='DecodeClip', short_clip='black'),
    dict(type='CropClip', size=224, mode='random'),
    dict(type='TokenizeText'),
]
# The pixels are the release's (interpolation, short_clip); 'fast' ones cost less (docs/data.md).
# Training on a hundred million files meets all that can be wrong with one: isolate.
# A size's own config puts its tube mask behind these two.
transcript_transforms = [
    dict(type='SampleTranscriptSegments', num_segments=4, segment_seconds=(3, 5), gap_seconds=1.0),
    dict(type='OpenVideo', short_side=268, interpolation='nearest', isolate=True),
    dict(type='SampleClipFrames', num_frames=12, mode='random'),
    *clip_transforms,
]
caption_transforms = [
    dict(type='OpenVideo', short_side=268, interpolation='nearest', isolate=True),
    dict(type='SampleClipFrames', num_frames=12, mode='random'),
    *clip_transforms,
]
tube_mask = dict(type='RandomTubeMask', patch_size=16, ratio=0.5)
pack = dict(type='PackVideoText')

yt_temporal = dict(
    type='TranscriptVideoDataset',
    ann_file='data/yt_temporal/annotations/train.jsonl',
    data_prefix=dict(video='data/yt_temporal/videos'),
    pipeline=[*transcript_transforms, tube_mask, pack])
webvid = dict(
    type='CaptionVideoDataset',
    ann_file='data/webvid/annotations/train.jsonl',
    data_prefix=dict(video='data/webvid/videos'),
    pipeline=[*caption_transforms, tube_mask, pack])

train_dataloader = dict(
    batch_size=12,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratios=(1, 1)),
    dataset=dict(type='ConcatDataset', datasets=[yt_temporal, webvid]))

val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CaptionVideoDataset',
        ann_file='data/webvid/annotations/val.jsonl',
        data_prefix=dict(video='data/webvid/videos'),
        test_mode=True,
        pipeline=[
            dict(type='OpenVideo', short_side=268, interpolation='nearest'),
            dict(type='SampleClipFrames', num_frames=12, mode='middle'),
            dict(type='DecodeClip', short_clip='black'),
            dict(type='CropClip', size=224, mode='center'),
            dict(type='TokenizeText'),
            pack,
        ]))
val_evaluator = dict(type='RetrievalMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
