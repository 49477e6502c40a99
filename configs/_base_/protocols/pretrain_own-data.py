# Pre-training on a folder of narrated videos, and on captions of them where there are any.
#   data_root/                  the videos, any layout
#     transcripts.jsonl         made by tools/data/subtitles_to_transcripts.py, asr_to_..., ...
#     captions.jsonl            if there is one
_base_ = ['../datasets/own-data.py', '../schedules/pretrain_10e.py', '../default_runtime.py']
protocol = 'pretrain'
mask_ratio = 0.5

random_clip = [*_base_.random_clip, dict(type='RandomTubeMask'), _base_.pack]
train_dataloader = dict(
    _base_.train_loader,
    batch_size=12,
    dataset=dict(
        type='PresentDatasets',
        datasets=[
            dict(
                type='TranscriptVideoDataset',
                ann_file='transcripts.jsonl',
                held_out_by='transcripts.jsonl',
                pipeline=[_base_.segments, *random_clip]),
            # Its held-out videos are those of the transcripts.
            dict(
                type='CaptionVideoDataset',
                ann_file='captions.jsonl',
                held_out_by='transcripts.jsonl',
                pipeline=random_clip),
        ]))

# On the held-out videos: their transcripts back in order, and each found among all videos.
val_dataloader = dict(
    _base_.held_out_loader,
    batch_size=12,
    dataset=dict(
        type='TranscriptVideoDataset',
        ann_file='transcripts.jsonl',
        held_out_by='transcripts.jsonl',
        test_mode=True,
        pipeline=[_base_.segments, *_base_.middle_clip]))
val_evaluator = [dict(type='SortingAccuracy'), dict(type='RetrievalMetric')]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
custom_hooks = _base_.own_data_hooks

# What the training costs: how far texts drift, and, where labelled videos are named that it does
# not train on (ann_file, data_prefix, and classes of the head), how they are recognised.
default_hooks = dict(
    out_of_the_box=dict(
        type='OutOfTheBoxMonitorHook',
        cls_head=dict(type='ZeroShotHead'),
        evaluator=dict(type='TopKAccuracy', topk=(1, )),
        dataloader=dict(
            batch_size=12,
            num_workers=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='LabeledVideoDataset',
                data_root='',
                ann_file=None,
                test_mode=True,
                pipeline=[*_base_.middle_frames, _base_.pack]))))
