# Pre-training on a folder of narrated videos, and on captions of them where there are any. For
# models of every size: frames, crop, context and patches are left out here and come from the model.
#   data_root/                  the videos, any layout
#     transcripts.jsonl         made by tools/data/subtitles_to_transcripts.py, asr_to_..., ...
#     captions.jsonl            if there is one
_base_ = ['../schedules/pretrain_10e.py', '../default_runtime.py']
protocol = 'pretrain'
benchmark = 'own data'
data_root = 'data/own/videos'
# A tenth of the videos is never trained on, told by the names; captions follow the transcripts.
held_out_share = 0.1
mask_ratio = 0.5

segments = dict(
    type='SampleTranscriptSegments', num_segments=4, segment_seconds=(3, 5), gap_seconds=1.0)
random_clip = [
    dict(type='OpenVideo', isolate=True),
    dict(type='SampleClipFrames', mode='random'),
    dict(type='DecodeClip'),
    dict(type='CropClip', mode='random'),
    dict(type='TokenizeText'),
    dict(type='RandomTubeMask'),
    dict(type='PackVideoText'),
]
train_dataloader = dict(
    batch_size=12,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratios=None, shrink=True),
    dataset=dict(
        type='PresentDatasets',
        datasets=[
            dict(
                type='TranscriptVideoDataset',
                ann_file='transcripts.jsonl',
                held_out_by='transcripts.jsonl',
                pipeline=[segments, *random_clip]),
            dict(
                type='CaptionVideoDataset',
                ann_file='captions.jsonl',
                held_out_by='transcripts.jsonl',
                pipeline=random_clip),
        ]))

# On the held-out videos: their transcripts back in order, and each found among all videos.
val_dataloader = dict(
    batch_size=12,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='TranscriptVideoDataset',
        ann_file='transcripts.jsonl',
        held_out_by='transcripts.jsonl',
        test_mode=True,
        pipeline=[
            segments,
            dict(type='OpenVideo'),
            dict(type='SampleClipFrames', mode='middle'),
            dict(type='DecodeClip'),
            dict(type='CropClip', mode='center'),
            dict(type='TokenizeText'),
            dict(type='PackVideoText'),
        ]))
val_evaluator = [dict(type='SortingAccuracy'), dict(type='RetrievalMetric')]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
# Own videos are few, and some will not do: all of these are told at the end of each epoch.
custom_hooks = [
    dict(type='SkippedSampleHook', max_share=0.5), dict(type='ResumeDataHook'),
    dict(type='ResultFileHook')
]
