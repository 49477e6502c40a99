# Fine-tuning for retrieval on own captions. For models of every size: frames, crop and context are
# left out here and come from the model.
#   data_root/                  the videos, any layout
#     captions.jsonl            tools/data/README.md: captions
#     transcripts.jsonl         if there is one: batches of transcripts, which are sorted as well,
#                               come in between; model.sorting_head.loss_weight=0 sorts none
_base_ = ['../schedules/finetune-retrieval_10e.py', './zero-shot-check.py', '../default_runtime.py']
protocol = 'finetune-retrieval'
benchmark = 'own data'
data_root = 'data/own/videos'
# A tenth of the videos is never trained on, told by the names: it says when to stop.
held_out_share = 0.1

segments = dict(
    type='SampleTranscriptSegments', num_segments=4, segment_seconds=(3, 5), gap_seconds=1.0)
random_clip = [
    dict(type='OpenVideo', interpolation='nearest', isolate=True),
    dict(type='SampleClipFrames', mode='random'),
    dict(type='DecodeClip', short_clip='black'),
    dict(type='CropClip', mode='random'),
    dict(type='TokenizeText'),
    dict(type='PackVideoText'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratios=None, shrink=True),
    dataset=dict(
        type='PresentDatasets',
        datasets=[
            dict(
                type='CaptionVideoDataset',
                ann_file='captions.jsonl',
                held_out_by='captions.jsonl',
                pipeline=random_clip),
            dict(
                type='TranscriptVideoDataset',
                ann_file='transcripts.jsonl',
                held_out_by='captions.jsonl',
                pipeline=[segments, *random_clip]),
        ]))
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CaptionVideoDataset',
        ann_file='captions.jsonl',
        held_out_by='captions.jsonl',
        test_mode=True,
        pipeline=[
            dict(type='OpenVideo', interpolation='nearest'),
            dict(type='SampleClipFrames', mode='middle', num_clips=1),
            dict(type='DecodeClip', short_clip='black'),
            dict(type='CropClip', mode='center'),
            dict(type='TokenizeText'),
            dict(type='PackVideoText'),
        ]))
val_evaluator = dict(type='RetrievalMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict(type='TestLoop')

# The sorting head at the rate of pre-training, where it was new.
optim_wrapper = dict(paramwise_cfg=dict(lr_mult={'sorting_head': 1e3}))
default_hooks = dict(
    checkpoint=dict(save_best='t2v/R1', rule='greater', max_keep_ckpts=1),
    early_stopping=dict(
        type='EarlyStoppingHook', monitor='t2v/R1', rule='greater', patience=3, strict=True),
    zero_shot_check=_base_.zero_shot_check)
# Own videos are few, and some will not do: all of these are told at the end of each epoch.
custom_hooks = [
    dict(type='SkippedSampleHook', max_share=0.5), dict(type='ResumeDataHook'),
    dict(type='ResultFileHook')
]
